package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Candidate is another module for a plugin reference, opened for every model
// that refers to it.
type Candidate struct {
	Ref     string
	Digest  string
	Plugins map[string]Plugin // by model: a Transformer, or the KeyedPlugin of a keyed one
}

// Plugin is a module that was opened for a model.
type Plugin interface {
	// Digest is the SHA-256 of the module.
	Digest() string
}

// Candidates are the modules that plugin references come to mean while a
// pipeline runs. The methods are called between two epochs, by the goroutine
// that carries records: they must not wait.
type Candidates interface {
	// Take returns the candidates that are ready: at most one a reference, and
	// none for a reference whose last one is neither kept nor refused.
	Take() []Candidate
	// Kept tells that a candidate's first epoch is decided. Nothing calls the
	// plugins any more that it replaced.
	Kept(Candidate)
	// Refused tells that its first epoch was abandoned and the former plugins
	// are used again. Nothing calls the candidate's any more.
	Refused(Refusal)
}

// Refusal is why a candidate was given up.
type Refusal struct {
	Candidate
	Former string // digest of the module that is used again
	Epoch  int64  // that was abandoned; the former module takes it
	Reason string
}

// Probation is a candidate whose first epoch is not decided. Until it is, the
// plugins that it replaced are kept: if the epoch fails by the candidate it is
// abandoned, and they take it once more.
type Probation struct {
	Candidate
	FormerDigest string
	Former       map[string]Plugin // by model; nil where there is no going back
	Gone         error             // why there is none
}

// pluginError is a failure of a model's plugin, or of what is behind it, on the
// rows that the plugin made: the former module may do better.
type pluginError struct {
	ref string
	error
}

// Unwrap is for those who look for what happened.
func (e *pluginError) Unwrap() error { return e.error }

// stepError says whose step failed.
func (m *Model) stepError(err error) error {
	var failed *pluginError
	if errors.As(err, &failed) {
		failed.ref = m.PluginRef
	}
	return fmt.Errorf("model %s: %w", m.Name, err)
}

// EpochBounded is a Plugin with bounds that count by epoch: what it may log.
type EpochBounded interface {
	// NextEpoch is called between two epochs.
	NextEpoch()
}

// beginPlugins tells plugins that another epoch begins.
func (p *Pipeline) beginPlugins() {
	tell := func(t Plugin) {
		if bounded, ok := t.(EpochBounded); ok {
			bounded.NextEpoch()
		}
	}
	for _, m := range p.parts.Models {
		tell(m.Plugin)
		if m.Shadow != nil {
			tell(m.Shadow.Plugin)
		}
	}
	for _, k := range p.keyed {
		tell(k.Plugin)
	}
}

// checkProbations panics where a start's probations are not of its models.
func checkProbations(parts Parts) map[string]*Probation {
	all := map[string]*Probation{}
	for i := range parts.Probations {
		p := &parts.Probations[i]
		all[p.Ref] = p
		for _, m := range parts.Models {
			if m.Plugin != nil && m.PluginRef == p.Ref && m.Plugin.Digest() != p.Digest {
				panic(fmt.Sprintf("BUG: model %s runs module %s of %s, module %s is on probation", m.Name, m.Plugin.Digest(), p.Ref, p.Digest))
			}
		}
		for _, k := range parts.Keyed {
			if k.Plugin != nil && k.PluginRef == p.Ref && k.Plugin.Digest() != p.Digest {
				panic(fmt.Sprintf("BUG: model %s runs module %s of %s, module %s is on probation", k.Name, k.Plugin.Digest(), p.Ref, p.Digest))
			}
		}
	}
	return all
}

// takeCandidates lets models go on with the candidates that are ready. It is
// called between two epochs, so that each epoch is of one module.
func (p *Pipeline) takeCandidates() error {
	if p.parts.Candidates == nil {
		return nil
	}
	for _, c := range p.parts.Candidates.Take() {
		if p.probations[c.Ref] != nil {
			panic("BUG: a candidate for " + c.Ref + " while another one is on probation")
		}
		probation := &Probation{Candidate: c, Former: p.running(c.Ref)}
		for _, former := range probation.Former {
			probation.FormerDigest = former.Digest() // of all
		}
		if err := p.plug(c.Ref, c.Plugins); err != nil {
			return err
		}
		p.probations[c.Ref] = probation
		p.noteProbation(probation)
	}
	return nil
}

// running are the plugins of a reference, by model.
func (p *Pipeline) running(ref string) map[string]Plugin {
	all := map[string]Plugin{}
	for _, m := range p.modelsOf(ref) {
		all[m.Name] = m.Plugin
	}
	for _, k := range p.keyedOf(ref) {
		all[k.Name] = k.Plugin
	}
	return all
}

// plug lets the models of a reference go on with other plugins, between two
// epochs.
func (p *Pipeline) plug(ref string, plugins map[string]Plugin) error {
	for _, m := range p.modelsOf(ref) {
		next, ok := plugins[m.Name].(Transformer)
		if !ok {
			panic(fmt.Sprintf("BUG: model %s is given %T as another module of %s", m.Name, plugins[m.Name], ref))
		}
		m.Plugin = next
	}
	for _, k := range p.keyedOf(ref) {
		next, ok := plugins[k.Name].(KeyedPlugin)
		if !ok {
			panic(fmt.Sprintf("BUG: model %s is given %T as another module of %s", k.Name, plugins[k.Name], ref))
		}
		if err := k.swap(next); err != nil {
			return err
		}
	}
	return nil
}

// noteProbation tells of a candidate that takes the next epoch.
func (p *Pipeline) noteProbation(probation *Probation) {
	p.parts.Logger.Info("plugin is swapped, on probation for its first epoch",
		"ref", probation.Ref, "from", probation.FormerDigest, "to", probation.Digest, "epoch", p.last+1)
	p.stats.swapped(Swap{Ref: probation.Ref, From: probation.FormerDigest, To: probation.Digest, Epoch: p.last + 1, Outcome: SwapOnProbation})
}

// modelsOf are the models that refer to a plugin.
func (p *Pipeline) modelsOf(ref string) []*Model {
	var models []*Model
	for i := range p.parts.Models {
		if m := &p.parts.Models[i]; m.Plugin != nil && m.PluginRef == ref {
			models = append(models, m)
		}
	}
	return models
}

// endProbations keeps the candidates that an epoch tried, once it is committed.
func (p *Pipeline) endProbations(e *epoch) {
	if p.last != e.number {
		return // nothing moved, and there is no such epoch
	}
	for _, ref := range slices.Sorted(maps.Keys(p.probations)) {
		probation := p.probations[ref]
		if !e.tried(ref) {
			continue
		}
		delete(p.probations, ref)
		p.parts.Logger.Info("plugin is kept", "ref", ref, "digest", probation.Digest, "epoch", e.number)
		p.stats.swapped(Swap{Ref: ref, From: probation.FormerDigest, To: probation.Digest, Epoch: e.number, Outcome: SwapKept})
		for _, m := range p.modelsOf(ref) {
			delete(p.refusals, m.Name) // they were the former's
		}
		for _, k := range p.keyedOf(ref) {
			delete(p.refusals, k.Name)
		}
		if p.parts.Candidates != nil {
			p.parts.Candidates.Kept(probation.Candidate)
		}
	}
	for model, t := range e.tallies {
		sum := p.refusals[model]
		sum.add(t)
		p.refusals[model] = sum
	}
}

// goBack abandons an epoch that failed by a plugin on probation, and gives its
// models their former plugins again. Any other failure it returns.
func (p *Pipeline) goBack(ctx context.Context, e *epoch, failure error) error {
	var failed *pluginError
	if !errors.As(failure, &failed) {
		return failure
	}
	probation := p.probations[failed.ref]
	if probation == nil {
		return failure
	}
	if probation.Former == nil {
		return fmt.Errorf("%w; it is the first epoch of plugin %s with module %s, and there is no going back to the former module %s: %w",
			failure, probation.Ref, probation.Digest, probation.FormerDigest, probation.Gone)
	}
	if err := e.abandon(context.WithoutCancel(ctx)); err != nil {
		return errors.Join(failure, err)
	}
	if err := p.plug(probation.Ref, probation.Former); err != nil {
		return errors.Join(failure, err)
	}
	delete(p.probations, probation.Ref)
	p.parts.Logger.Error("plugin refused in its first epoch, which is abandoned and taken again with the former",
		"ref", probation.Ref, "refused", probation.Digest, "former", probation.FormerDigest, "epoch", e.number, "reason", failure.Error())
	p.stats.swapped(Swap{
		Ref: probation.Ref, From: probation.FormerDigest, To: probation.Digest, Epoch: e.number, Outcome: SwapRefused, Reason: failure.Error(),
	})
	if p.parts.Candidates != nil {
		p.parts.Candidates.Refused(Refusal{Candidate: probation.Candidate, Former: probation.FormerDigest, Epoch: e.number, Reason: failure.Error()})
	}
	return nil
}

// checkpoint is what an epoch must put back if it is abandoned.
type checkpoint struct {
	positions map[*reader]*positions
	stats     statsMark
}

func (p *Pipeline) checkpoint() *checkpoint {
	c := &checkpoint{positions: map[*reader]*positions{}, stats: p.stats.mark()}
	for _, r := range p.readers {
		c.positions[r] = &positions{at: maps.Clone(r.at.at)}
	}
	return c
}

// abandon gives up an epoch that is not recorded: nothing of it is visible, and
// its records are read again from where the last record ended. Files that are
// uploaded already stay behind as orphans, as after a crash: names are never
// used twice.
func (e *epoch) abandon(ctx context.Context) error {
	p := e.p
	e.abort()
	if p.parts.State != nil {
		if err := p.parts.State.Rollback(ctx, p.state); err != nil {
			return fmt.Errorf("put back the keyed state of epoch %d, which is abandoned: %w", e.number, err)
		}
	}
	for r, at := range e.before.positions {
		r.at = at
		r.close() // its source is beyond that
	}
	p.stats.reset(e.before.stats)
	p.requests.forget()
	return nil
}

// forget drops what is known of the request that is being carried out: it is
// looked up again, as far as the tables show it.
func (r *requests) forget() {
	r.active, r.looked = nil, r.looked.AddDate(-1, 0, 0)
}

// tried tells whether the epoch's tables name the present module of a plugin
// reference: where they do, its record does. A keyed model's may also have been
// called for what no record came to.
func (e *epoch) tried(ref string) bool {
	return slices.ContainsFunc(e.p.modelsOf(ref), func(m *Model) bool { return e.audited[m.Name] }) ||
		slices.ContainsFunc(e.p.keyedOf(ref), func(k *keyed) bool { return e.given[k.Name] || k.Plugin.Called() })
}

// plugins are the modules that the epoch is derived by. A candidate that no
// record came to is not among them, so that whoever goes on from here puts it
// to the test.
func (e *epoch) plugins() map[string]string {
	digests := e.p.plugins()
	for ref, probation := range e.p.probations {
		if !e.tried(ref) {
			digests[ref] = probation.FormerDigest
		}
	}
	return digests
}
