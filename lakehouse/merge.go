package lakehouse

import (
	"bytes"
	"fmt"

	"github.com/apache/iceberg-go"
)

// mergeFanIn is how many manifests of about one size become one. With it a
// table of n files has at most 31·log₃₂(n) manifests, an entry is rewritten
// log₃₂(n) times over the table's life, and the cost of a commit does not grow
// with the number of epochs before it.
const mergeFanIn = 32

// merge replaces manifests that have become many by one with the same entries.
// It moves no meaning: entries keep their snapshot, their sequence numbers and
// their files (invariant 11).
func (p *producer) merge(manifests []iceberg.ManifestFile) ([]iceberg.ManifestFile, error) {
	group := p.mergeable(manifests)
	if group == nil {
		return manifests, nil
	}
	merged, err := p.mergeGroup(group)
	if err != nil {
		return nil, err
	}
	gone := make(map[string]bool, len(group))
	for _, m := range group {
		gone[m.FilePath()] = true
	}
	kept := []iceberg.ManifestFile{merged}
	for _, m := range manifests {
		if !gone[m.FilePath()] {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

// mergeable picks mergeFanIn manifests of one tier: data manifests of the
// table's partition spec, whose entries number 32^tier to 32^(tier+1)−1. Small
// tiers come first. It returns nil if no tier is full.
func (p *producer) mergeable(manifests []iceberg.ManifestFile) []iceberg.ManifestFile {
	tiers := map[int][]iceberg.ManifestFile{}
	for _, m := range manifests {
		if m.ManifestContent() != iceberg.ManifestContentData || int(m.PartitionSpecID()) != p.meta.DefaultPartitionSpec() {
			continue
		}
		tier := 0
		for n := int(m.AddedDataFiles() + m.ExistingDataFiles()); n >= mergeFanIn; n /= mergeFanIn {
			tier++
		}
		tiers[tier] = append(tiers[tier], m)
	}
	for tier := range 8 {
		if len(tiers[tier]) >= mergeFanIn {
			return tiers[tier][len(tiers[tier])-mergeFanIn:] // the oldest: lists begin with the newest
		}
	}
	return nil
}

func (p *producer) mergeGroup(group []iceberg.ManifestFile) (iceberg.ManifestFile, error) {
	fs, err := p.table.FS(p.ctx)
	if err != nil {
		return nil, fmt.Errorf("open files of %v: %w", p.table.Identifier(), err)
	}
	var body bytes.Buffer
	w, err := iceberg.NewManifestWriter(p.meta.Version(), &body, p.meta.PartitionSpec(), p.meta.CurrentSchema(), p.id)
	if err != nil {
		return nil, fmt.Errorf("begin merged manifest: %w", err)
	}
	for _, m := range group {
		for entry, err := range m.Entries(fs, true) {
			if err != nil {
				return nil, fmt.Errorf("read manifest %s: %w", m.FilePath(), err)
			}
			if err := w.Existing(entry); err != nil {
				return nil, fmt.Errorf("copy entry of manifest %s: %w", m.FilePath(), err)
			}
		}
	}
	return p.writeManifest(w, &body, "merged")
}
