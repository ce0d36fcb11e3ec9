package plugins

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/calvelake/calve/sdk/abi"
)

// Version is a module under a name and a version, for good.
type Version struct {
	Format     int          `json:"format"`
	Plugin     string       `json:"plugin"`
	Version    string       `json:"version"`
	Digest     string       `json:"digest"` // hex SHA-256 of the module
	Size       int64        `json:"size"`   // bytes
	Kind       string       `json:"kind"`
	Describe   abi.Describe `json:"describe"`
	UploadedBy string       `json:"uploaded_by"`
	UploadedAt time.Time    `json:"uploaded_at"`
	Report     Report       `json:"report"`
	Entry      string       `json:"entry"` // of the audit log

	// Yanked is why the version is not resolved any more. It is an object of
	// its own.
	Yanked *Yank `json:"yanked,omitempty"`
}

func (v *Version) format() int { return v.Format }

// ID is name@version.
func (v *Version) ID() string { return v.Plugin + "@" + v.Version }

// Upload asks for a new version.
type Upload struct {
	Plugin  string // "" takes what the module says of itself
	Version string // likewise
	Module  []byte
	By      string // principal
	Expect  Expect
}

// Uploaded is a version and whether this upload made it. An upload of what is
// there already is no error.
type Uploaded struct {
	Version
	Created bool `json:"created"`
}

// Upload verifies a module and makes it a version. It fails with a Refusal, or
// with ErrConflict if the version exists with another module.
func (r *Registry) Upload(ctx context.Context, u Upload) (Uploaded, error) {
	if err := u.check(); err != nil {
		return Uploaded{}, err
	}
	named := u.Plugin != "" && u.Version != ""
	if named {
		// Who pushes again need not wait for another verification.
		if done, err := r.already(ctx, u); !errors.Is(err, ErrNotFound) {
			return done, err
		}
	}
	verified, err := verified(ctx, &u, r.verify)
	if err != nil {
		return Uploaded{}, err
	}
	if !named {
		if done, err := r.already(ctx, u); !errors.Is(err, ErrNotFound) {
			return done, err
		}
	}
	return r.store(ctx, u, verified)
}

// already answers an upload of a version that is there, or fails with
// ErrNotFound.
func (r *Registry) already(ctx context.Context, u Upload) (Uploaded, error) {
	there, err := r.version(ctx, u.Plugin, u.Version)
	if err != nil {
		return Uploaded{}, err
	}
	return r.existing(ctx, there, u.Module)
}

// check refuses names that are given and malformed.
func (u Upload) check() error {
	var errs []error
	if u.Plugin != "" {
		errs = append(errs, CheckName(u.Plugin))
	}
	if u.Version != "" {
		errs = append(errs, CheckVersion(u.Version))
	}
	return errors.Join(errs...)
}

// verified verifies what is to be uploaded, or fails with a Refusal. It fills in
// name and version where they are not given.
func verified(ctx context.Context, u *Upload, verify VerifyFunc) (Verified, error) {
	v, err := verify(ctx, u.Module, u.Expect)
	if err != nil {
		return v, err
	}
	if !v.Report.OK() {
		return v, &Refusal{Report: v.Report}
	}
	u.Plugin, u.Version = cmp.Or(u.Plugin, v.Describe.Name), cmp.Or(u.Version, v.Describe.Version)
	if err := u.check(); err != nil {
		return v, fmt.Errorf("what the module says of itself: %w; give a name and a version of your own", err)
	}
	return v, nil
}

// store puts the module before the version that names it.
func (r *Registry) store(ctx context.Context, u Upload, verified Verified) (Uploaded, error) {
	v := Version{
		Format: formatVersion, Plugin: u.Plugin, Version: u.Version, Digest: Digest(u.Module), Size: int64(len(u.Module)),
		Kind: verified.Describe.Kind, Describe: verified.Describe, Report: verified.Report,
		UploadedBy: u.By, UploadedAt: r.now().UTC(),
	}
	v.Describe.Fixtures = nil // the module has them, and they may be large
	entry, err := r.announce(ctx, Entry{Action: ActionUpload, Plugin: u.Plugin, Version: u.Version, Digest: v.Digest, By: u.By})
	if err != nil {
		return Uploaded{}, err
	}
	v.Entry = entry
	if err := r.putModule(ctx, u.Module); err != nil {
		return Uploaded{}, err
	}
	body, err := json.Marshal(v)
	if err != nil {
		return Uploaded{}, fmt.Errorf("encode version %s: %w", v.ID(), err)
	}
	there, created, err := r.create(ctx, versionName(v.Plugin, v.Version), body)
	if err != nil {
		return Uploaded{}, err
	}
	if created {
		return Uploaded{Version: v, Created: true}, nil
	}
	var other Version
	if err := decodeObject(versionName(v.Plugin, v.Version), there, &other); err != nil {
		return Uploaded{}, err
	}
	return r.existing(ctx, other, u.Module)
}

// putModule puts a module's object, unless it is there.
func (r *Registry) putModule(ctx context.Context, module []byte) error {
	digest := Digest(module)
	there, _, err := r.create(ctx, blobName(digest), module)
	if err != nil {
		return err
	}
	if Digest(there) != digest {
		return fmt.Errorf("%w: %s/%s has other content; remove it, and upload again", ErrCorrupt, r.dir, blobName(digest))
	}
	return nil
}

// existing answers an upload of a version that is there. It puts the module
// again if it was lost.
func (r *Registry) existing(ctx context.Context, there Version, module []byte) (Uploaded, error) {
	if there.Digest != Digest(module) {
		return Uploaded{}, fmt.Errorf("%w: version %s is module %s, uploaded by %s at %s; a version never changes, upload this module under another",
			ErrConflict, there.ID(), there.Digest, there.UploadedBy, there.UploadedAt.Format(time.RFC3339))
	}
	return Uploaded{Version: there}, r.putModule(ctx, module)
}

// version reads a version and its yank.
func (r *Registry) version(ctx context.Context, plugin, version string) (Version, error) {
	var v Version
	err := r.read(ctx, versionName(plugin, version), &v)
	if errors.Is(err, ErrNotFound) {
		return v, fmt.Errorf("%w: plugin %s has no version %s; calve plugin show %s lists them", ErrNotFound, plugin, version, plugin)
	}
	if err != nil {
		return v, err
	}
	v.Yanked, err = r.yank(ctx, plugin, version)
	return v, err
}

// versions reads all versions of a plugin, oldest first.
func (r *Registry) versions(ctx context.Context, plugin string) ([]Version, error) {
	names, err := r.list(ctx, "names/"+plugin+"/versions/")
	if err != nil {
		return nil, err
	}
	all := make([]Version, 0, len(names))
	for _, name := range names {
		v, err := r.version(ctx, plugin, strings.TrimSuffix(name, ".json"))
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func versionName(plugin, version string) string {
	return "names/" + plugin + "/versions/" + version + ".json"
}

func blobName(digest string) string { return "blobs/sha256/" + digest + ".wasm" }
