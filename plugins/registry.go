package plugins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/calvelake/calve/lakehouse/storage"
)

// Registry is the plugins of a warehouse. It keeps nothing in memory: several
// may work on one store at a time.
type Registry struct {
	objects
	verify VerifyFunc
	now    func() time.Time
}

// Config is how a Registry is set up.
type Config struct {
	// Verify judges modules before they become versions. Without it nothing can
	// be uploaded.
	Verify VerifyFunc
	// Now is the clock of what is recorded.
	Now func() time.Time
}

// NewRegistry opens the registry of a warehouse.
func NewRegistry(store storage.Store, c Config) *Registry {
	return &Registry{
		objects: objects{store: store, dir: store.Root() + "/_calve/plugins", pause: backoff},
		verify:  c.Verify, now: c.Now,
	}
}

// Digest is the identity of a module: its SHA-256, in hex.
func Digest(module []byte) string {
	sum := sha256.Sum256(module)
	return hex.EncodeToString(sum[:])
}

// Module reads a module by its digest.
func (r *Registry) Module(ctx context.Context, digest string) ([]byte, error) {
	if err := checkDigest(digest); err != nil {
		return nil, err
	}
	module, err := r.get(ctx, blobName(digest))
	if err != nil {
		return nil, err
	}
	if got := Digest(module); got != digest {
		return nil, fmt.Errorf("%w: the object of module %s has the digest %s; remove it, and upload the module again", ErrCorrupt, digest, got)
	}
	return module, nil
}

// Resolve finds the version that a reference means now. It fails with
// ErrNotFound, and with ErrYanked: a yanked version is never resolved anew.
func (r *Registry) Resolve(ctx context.Context, ref Ref) (Version, error) {
	switch {
	case ref.Digest != "":
		return r.resolveDigest(ctx, ref)
	case ref.Version != "":
		v, err := r.version(ctx, ref.Name, ref.Version)
		if err == nil && v.Yanked != nil {
			err = v.yankedError("refer to another version")
		}
		return v, err
	}
	head, err := r.head(ctx, ref.Name, ref.Channel)
	if err != nil {
		return Version{}, err
	}
	return r.At(ctx, head)
}

// resolveDigest takes a version that is not yanked before one that is.
func (r *Registry) resolveDigest(ctx context.Context, ref Ref) (Version, error) {
	all, err := r.versions(ctx, ref.Name)
	if err != nil {
		return Version{}, err
	}
	err = fmt.Errorf("%w: plugin %s has no version with digest %s", ErrNotFound, ref.Name, ref.Digest)
	for _, v := range all {
		switch {
		case v.Digest != ref.Digest:
		case v.Yanked == nil:
			return v, nil
		default:
			err = v.yankedError("refer to another digest")
		}
	}
	return Version{}, err
}

// Yanked tells whether a version is yanked; nil if not.
func (r *Registry) Yanked(ctx context.Context, plugin, version string) (*Yank, error) {
	return r.yank(ctx, plugin, version)
}

// Plugin is a name with its versions and where its channels are.
type Plugin struct {
	Name     string      `json:"name"`
	Versions []Version   `json:"versions"` // by name
	Channels []Promotion `json:"channels"` // by name
}

// Show reads one plugin.
func (r *Registry) Show(ctx context.Context, name string) (Plugin, error) {
	if err := CheckName(name); err != nil {
		return Plugin{}, err
	}
	p := Plugin{Name: name, Channels: []Promotion{}}
	var err error
	if p.Versions, err = r.versions(ctx, name); err != nil {
		return p, err
	}
	if len(p.Versions) == 0 {
		return p, fmt.Errorf("%w: there is no plugin %s; calve plugin list shows those there are", ErrNotFound, name)
	}
	heads, err := r.heads(ctx, name, "")
	p.Channels = append(p.Channels, heads...)
	return p, err
}

// List reads all plugins, by name.
func (r *Registry) List(ctx context.Context) ([]Plugin, error) {
	objects, err := r.list(ctx, "names/")
	if err != nil {
		return nil, err
	}
	all := []Plugin{}
	last := ""
	for _, object := range objects {
		name, _, _ := strings.Cut(object, "/")
		if name == last {
			continue
		}
		last = name
		p, err := r.Show(ctx, name)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}
