package pipeline

import (
	"errors"
	"fmt"

	"github.com/calvelake/calve/lakehouse"
)

// KeyedPlugin is the plugin of a keyed model, which its Operator calls. It may be
// EpochBounded.
type KeyedPlugin interface {
	Plugin
	// Called tells whether the operator has called it since the epoch began.
	Called() bool
}

// Swapper is an Operator that calls a plugin.
type Swapper interface {
	// Swap lets the operator go on with another plugin, one that keeps the same
	// state. It is called between two epochs. A plugin that cannot take the
	// former's place is an error.
	Swap(KeyedPlugin) error
}

// PluginFault marks an error of an Operator as one of its plugin, or of what is
// made of the plugin's columns: another module may do better.
func PluginFault(err error) error {
	if err == nil {
		return nil
	}
	return &pluginError{error: err}
}

// swap lets a keyed model go on with another plugin.
func (k *keyed) swap(next KeyedPlugin) error {
	operator, ok := k.Operator.(Swapper)
	if !ok {
		panic(fmt.Sprintf("BUG: the operator of model %s takes no other plugin: %T", k.Name, k.Operator))
	}
	if err := operator.Swap(next); err != nil {
		return fmt.Errorf("model %s: go on with module %s of plugin %s: %w", k.Name, next.Digest(), k.PluginRef, err)
	}
	k.Plugin = next
	return nil
}

// fault says that the model's plugin is at fault, if it has one.
func (k *keyed) fault(err error) error {
	if k.Plugin == nil {
		return err
	}
	return &pluginError{k.PluginRef, err}
}

// blame says whose plugin is at fault where the operator says that one is.
func (k *keyed) blame(err error) error {
	var failed *pluginError
	if errors.As(err, &failed) {
		failed.ref = k.PluginRef
	}
	return err
}

// unfit says that the plugin is at fault where rows do not fit the table.
func (k *keyed) unfit(err error) error {
	if errors.Is(err, lakehouse.ErrUnfit) {
		return k.fault(err)
	}
	return err
}

// digest is that of the plugin, "" without one.
func (m *KeyedModel) digest() string {
	if m.Plugin == nil {
		return ""
	}
	return m.Plugin.Digest()
}

// keyedOf are the keyed models that refer to a plugin.
func (p *Pipeline) keyedOf(ref string) []*keyed {
	var models []*keyed
	for i := range p.keyed {
		if k := &p.keyed[i]; k.Plugin != nil && k.PluginRef == ref {
			models = append(models, k)
		}
	}
	return models
}

// keyedModel is a keyed model by name, nil if there is none.
func (p *Pipeline) keyedModel(name string) *keyed {
	for i := range p.keyed {
		if p.keyed[i].Name == name {
			return &p.keyed[i]
		}
	}
	return nil
}

// keyedDigest is the module of a keyed model that the epoch's record names: the
// former one, where there was nothing for a new one to do.
func (e *epoch) keyedDigest(k *keyed) string {
	if k.Plugin == nil {
		return ""
	}
	if probation := e.p.probations[k.PluginRef]; probation != nil && !e.tried(k.PluginRef) {
		return probation.FormerDigest
	}
	return k.Plugin.Digest()
}
