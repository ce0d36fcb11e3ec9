package plugins

import "errors"

var (
	// ErrName: a name, version, channel or reference is malformed.
	ErrName = errors.New("invalid name")
	// ErrNotFound: there is no such plugin, version, channel or module.
	ErrNotFound = errors.New("not in the plugin registry")
	// ErrConflict: someone else wrote that version or promotion first.
	ErrConflict = errors.New("conflict")
	// ErrYanked: the version was yanked, and is not resolved any more.
	ErrYanked = errors.New("version is yanked")
	// ErrRefused: the module did not pass verification; see Refusal.
	ErrRefused = errors.New("plugin refused")
	// ErrUnknown: it is not known whether the change happened. Doing the same
	// again finds out: what is there already is not done twice.
	ErrUnknown = errors.New("outcome unknown")
	// ErrCorrupt: an object of the registry is not what its name says, or of a
	// format that this version does not know.
	ErrCorrupt = errors.New("registry object is damaged")
	// ErrUnauthorized: there is no token, or nobody has it.
	ErrUnauthorized = errors.New("not authenticated")
	// ErrForbidden: the principal lacks the role.
	ErrForbidden = errors.New("not allowed")
)

// Refusal is the error of a module that did not pass verification. It is an
// ErrRefused.
type Refusal struct{ Report Report }

func (r *Refusal) Error() string {
	for _, c := range r.Report.Checks {
		if c.Result == Failed {
			return "plugin refused: " + string(c.Name) + ": " + c.Detail
		}
	}
	return "plugin refused"
}

// Is makes a Refusal an ErrRefused.
func (r *Refusal) Is(target error) bool { return target == ErrRefused }
