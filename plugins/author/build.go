package author

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Built is a module that Build wrote.
type Built struct {
	Module   string   `json:"module"` // path
	Language Language `json:"language"`
	Bytes    int      `json:"bytes"`
	Digest   string   `json:"digest"` // SHA-256 in hex: the plugin's identity
}

// Build makes a module of a plugin's folder with its language's toolchain; to
// is where it is put, ModulePath by default. What the toolchain prints is in the
// error.
func Build(ctx context.Context, dir, to string) (Built, error) {
	language, err := Detect(dir)
	if err != nil {
		return Built{}, err
	}
	if to == "" {
		if to, err = ModulePath(dir); err != nil {
			return Built{}, err
		}
	}
	// Toolchains run in the plugin's folder.
	target, err := filepath.Abs(to)
	if err != nil {
		return Built{}, fmt.Errorf("find module's folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return Built{}, fmt.Errorf("make module's folder: %w", err)
	}
	build := map[Language]func(context.Context, string, string) error{
		Go: buildGo, Rust: buildRust, AssemblyScript: buildAssemblyScript, C: buildC,
	}[language]
	if err := build(ctx, dir, target); err != nil {
		return Built{}, fmt.Errorf("build plugin %s: %w", dir, err)
	}
	module, err := os.ReadFile(target)
	if err != nil {
		return Built{}, fmt.Errorf("read the module that was built: %w", err)
	}
	sum := sha256.Sum256(module)
	return Built{Module: to, Language: language, Bytes: len(module), Digest: hex.EncodeToString(sum[:])}, nil
}

// MissingToolError: a program is not there that building needs.
type MissingToolError struct {
	Tool    string
	Install string // what to do
}

func (e *MissingToolError) Error() string {
	return fmt.Sprintf("%s is not there: %s", e.Tool, e.Install)
}

// run runs a program in a folder, with more environment.
func run(ctx context.Context, dir string, env []string, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, strings.TrimRight(printed.String(), "\n"))
	}
	return nil
}

// firstOf is the first of some programs that is on the PATH.
func firstOf(names ...string) (string, bool) {
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			return found, true
		}
	}
	return "", false
}

// numbered is a program's name, and then the names that Debian gives its
// versions, newest first.
func numbered(name string) []string {
	names := []string{name}
	for version := 24; version >= 14; version-- {
		names = append(names, fmt.Sprintf("%s-%d", name, version))
	}
	return names
}

func buildGo(ctx context.Context, dir, target string) error {
	program, ok := firstOf("go")
	if !ok {
		return &MissingToolError{"go", "install Go 1.26 or later from https://go.dev/dl and put it on the PATH"}
	}
	env := []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOWORK=off"}
	return run(ctx, dir, env, program, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-buildmode=c-shared", "-o", target, ".")
}

func buildC(ctx context.Context, dir, target string) error {
	const install = "install clang 14 or later and its lld, on Debian apt install clang lld, on macOS brew install llvm lld"
	clang, ok := firstOf(numbered("clang")...)
	if !ok {
		return &MissingToolError{"clang", install}
	}
	// clang looks for wasm-ld in its own folder and on the PATH, without a number.
	var linker []string
	if _, ok := firstOf("wasm-ld"); !ok {
		found, ok := firstOf(numbered("wasm-ld")[1:]...)
		if !ok {
			return &MissingToolError{"wasm-ld", install}
		}
		linker = []string{"-fuse-ld=" + found}
	}
	sources, err := filepath.Glob(filepath.Join(dir, "*.c"))
	if err != nil {
		return fmt.Errorf("look for sources: %w", err)
	}
	args := append([]string{"--target=wasm32", "-std=c11", "-Wall", "-Wextra", "-O2", "-ffreestanding", "-nostdlib",
		"-Wl,--no-entry", "-Wl,--stack-first", "-Wl,--strip-all", "-Isdk", "-o", target}, linker...)
	for _, s := range sources {
		args = append(args, filepath.Base(s))
	}
	return run(ctx, dir, nil, clang, append(args, filepath.Join("sdk", "calve.c"))...)
}

const rustTarget = "wasm32-unknown-unknown"

func buildRust(ctx context.Context, dir, target string) error {
	cargo, sysroot, err := rustToolchain(ctx)
	if err != nil {
		return err
	}
	built := filepath.Join(dir, "target")
	env := []string{"RUSTC=" + filepath.Join(filepath.Dir(cargo), "rustc")}
	// Debian's rustc has no linker for WebAssembly of its own: it takes lld's.
	if own, _ := filepath.Glob(filepath.Join(sysroot, "lib", "rustlib", "*", "bin", "rust-lld*")); len(own) == 0 {
		linker, ok := firstOf(numbered("wasm-ld")...)
		if !ok {
			return &MissingToolError{"wasm-ld", "install lld, on Debian apt install lld"}
		}
		env = append(env, "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="+linker)
	}
	full, err := filepath.Abs(built)
	if err != nil {
		return fmt.Errorf("find cargo's folder: %w", err)
	}
	if err := run(ctx, dir, env, cargo, "build", "--quiet", "--target", rustTarget, "--release", "--target-dir", full); err != nil {
		return err
	}
	modules, err := filepath.Glob(filepath.Join(built, rustTarget, "release", "*.wasm"))
	if err != nil || len(modules) == 0 {
		return fmt.Errorf(`cargo made no module: is crate-type = ["cdylib"] in Cargo.toml?`)
	}
	if len(modules) > 1 {
		return fmt.Errorf("cargo's folder has several modules: %s; remove %s and build again", strings.Join(modules, ", "), built)
	}
	return copyFile(modules[0], target)
}

// rustToolchain finds a cargo whose rustc has the target: a machine may have
// Debian's and rustup's.
func rustToolchain(ctx context.Context) (cargo, sysroot string, err error) {
	found := false
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		cargo := filepath.Join(folder, "cargo")
		if _, err := exec.LookPath(cargo); err != nil {
			continue
		}
		printed, err := exec.CommandContext(ctx, filepath.Join(folder, "rustc"), "--print", "sysroot").Output()
		if err != nil {
			continue
		}
		found = true
		sysroot := strings.TrimSpace(string(printed))
		if libraries, _ := filepath.Glob(filepath.Join(sysroot, "lib", "rustlib", rustTarget, "lib", "libcore-*")); len(libraries) > 0 {
			return cargo, sysroot, nil
		}
	}
	if !found {
		return "", "", &MissingToolError{"cargo", "install Rust 1.63 or later from https://rustup.rs, or on Debian apt install cargo libstd-rust-dev-wasm32 lld"}
	}
	return "", "", &MissingToolError{"the Rust target " + rustTarget, "run rustup target add " + rustTarget + ", or on Debian apt install libstd-rust-dev-wasm32 lld"}
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read module: %w", err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		return fmt.Errorf("write module: %w", err)
	}
	return nil
}

// buildAssemblyScript leaves the options to the plugin's asconfig.json.
func buildAssemblyScript(ctx context.Context, dir, target string) error {
	compiler, err := filepath.Abs(filepath.Join(dir, "node_modules", ".bin", "asc"))
	if err != nil {
		return fmt.Errorf("find the compiler: %w", err)
	}
	if _, err := os.Stat(compiler); err != nil {
		found, ok := firstOf("asc")
		if !ok {
			return &MissingToolError{"asc, AssemblyScript's compiler,", "install Node.js 20 or later and run npm install in " + dir}
		}
		compiler = found
	}
	if _, ok := firstOf("node"); !ok {
		return &MissingToolError{"node", "install Node.js 20 or later"}
	}
	return run(ctx, dir, nil, compiler, "assembly/index.ts", "--target", "release", "--outFile", target)
}
