package daemon

import (
	"bytes"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/calvelake/calve/runtime/project"
)

// memoryShare is the part of what the process is granted that Go's heap may
// take by default, in percent: caches of the keyed state, stacks and files that
// are mapped come on top.
const memoryShare = 60

// LimitMemory bounds the memory of the process softly, so that garbage is
// collected before the system ends it: by limits.memory, else by a share of what
// the container or the machine grants. An operator's GOMEMLIMIT stands.
func LimitMemory(p *project.Project, logger *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	limit := memoryLimit(p.Limits.Memory, os.DirFS("/"))
	if limit == 0 {
		return
	}
	debug.SetMemoryLimit(limit)
	logger.Debug("memory is limited", "bytes", limit)
}

// memoryLimit is in bytes, 0 for none.
func memoryLimit(given int64, system fs.FS) int64 {
	if given > 0 {
		return given
	}
	granted := min(machineMemory(system), cgroupMemory(system))
	if granted == math.MaxInt64 {
		return 0
	}
	return granted / 100 * memoryShare
}

// machineMemory is what Linux says that there is; math.MaxInt64 if it is not
// known.
func machineMemory(system fs.FS) int64 {
	text, err := fs.ReadFile(system, "proc/meminfo")
	if err != nil {
		return math.MaxInt64
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line) // as in "MemTotal:  16384256 kB"
		if len(fields) == 3 && fields[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(fields[1], 10, 64); err == nil && kib > 0 {
				return kib << 10
			}
		}
	}
	return math.MaxInt64
}

// cgroupMemory is the lowest limit of the process's control groups, of version 2
// or 1; math.MaxInt64 for none. In a container its own is the root.
func cgroupMemory(system fs.FS) int64 {
	lowest := int64(math.MaxInt64)
	read := func(name string) {
		text, err := fs.ReadFile(system, name)
		if err != nil {
			return
		}
		limit, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64) // "max" is none
		if err == nil && limit > 0 {
			lowest = min(lowest, limit)
		}
	}
	groups, err := fs.ReadFile(system, "proc/self/cgroup")
	if err != nil {
		return lowest
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for at := path.Clean("/" + parts[2]); ; at = path.Dir(at) {
			switch {
			case parts[1] == "": // version 2
				read(path.Join("sys/fs/cgroup", at, "memory.max"))
			case strings.Contains(","+parts[1]+",", ",memory,"):
				read(path.Join("sys/fs/cgroup/memory", at, "memory.limit_in_bytes"))
			}
			if at == "/" {
				break
			}
		}
	}
	return lowest
}
