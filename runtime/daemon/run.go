package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
)

// RunOptions says how to run a project.
type RunOptions struct {
	// Once reads up to the end offsets seen at the start, commits and returns.
	Once bool
	// Standby waits until the pipeline's log has fallen silent, then takes over.
	Standby bool
	// RecordLoss goes on behind records that expired before they were read,
	// and records the loss; else such a start is refused.
	RecordLoss bool
	// Shadows are plugins that run beside those of models and write nothing.
	Shadows []ShadowOption
	// Metrics is the address, host:port, at which /metrics, /healthz and /readyz
	// are served over HTTP; "" serves nothing.
	Metrics string
	// PluginMetrics receives what is counted of plugins, beside the metrics; nil
	// for none.
	PluginMetrics wasm.Recorder
	// ChannelsEvery is how often the channels of the plugin registry are looked
	// at that models refer to; 0 is every 5 s.
	ChannelsEvery time.Duration
	// ResetModels are keyed models that forget their state, take their inputs'
	// tables in again, and replace the rows of their own.
	ResetModels []string
	Logger      *slog.Logger
	// Watch, if set, is called when the pipeline runs; it returns when ctx
	// ends.
	Watch func(ctx context.Context, running *Running)
}

// Running is a pipeline at work.
type Running struct {
	Pipeline *pipeline.Pipeline
	Broker   *Broker
	Topics   []string
}

const (
	// heartbeat is how long an idle writer leaves its log silent.
	heartbeat = time.Minute
	// discoverEvery is how often new partitions are looked for.
	discoverEvery = 30 * time.Second
)

// silence is how long a standby lets the log be silent: three heartbeats, of
// which one may be late and one lost. A record is written at the end of an
// epoch, so long epochs count like heartbeats.
func silence(p *project.Project) time.Duration { return 3 * max(heartbeat, p.Commit.Interval) }

// pollRecords bounds what one poll hands over, so that an epoch's end is never
// far away.
const pollRecords = 1 << 16

// Run runs a project's pipeline until its context ends or, with Once, until it
// has caught up. What it took by then is committed.
func Run(ctx context.Context, p *project.Project, options RunOptions) (pipeline.Stats, error) {
	if err := checkBuilt(p); err != nil {
		return pipeline.Stats{}, err
	}
	if len(p.Models) == 0 {
		return pipeline.Stats{}, fmt.Errorf("project %s has no models: add one below models/, or there is nothing to run", p.Name)
	}
	shown, err := openMonitor(p, options.Metrics, options.Logger)
	if err != nil {
		return pipeline.Stats{}, err
	}
	defer closeAndLog(options.Logger, "metrics", shown.close)
	lake, err := OpenLakehouse(ctx, p, options.Logger)
	if err != nil {
		return pipeline.Stats{}, err
	}
	defer closeAndLog(options.Logger, "catalog", lake.Close)
	if err := storage.Probe(ctx, lake.Store, lake.Store.Root()+"/_calve/"+p.Name+"/probe"); err != nil {
		return pipeline.Stats{}, fmt.Errorf("probe warehouse %s: %w", lake.Store.Root(), err)
	}
	with, err := openTools(ctx, p, toolsConfig{logger: options.Logger, metrics: shown.recorder(options.PluginMetrics), registry: len(options.Shadows) > 0})
	if err != nil {
		return pipeline.Stats{}, err
	}
	defer closeAndLog(options.Logger, "plugins", with.close)
	broker, err := OpenBroker(ctx, p, options.Logger)
	if err != nil {
		return pipeline.Stats{}, err
	}
	defer closeAndLog(options.Logger, "broker", broker.Close)
	return start(ctx, p, options, opened{lake, with, broker, shown})
}

type opened struct {
	lake   *Lakehouse
	with   tools
	broker *Broker
	shown  *monitor
}

func start(ctx context.Context, p *project.Project, options RunOptions, o opened) (pipeline.Stats, error) {
	nonce := lakehouse.NewNonce()
	config := lakehouse.Config{Pipeline: p.Name, Nonce: nonce, Logger: options.Logger}
	if options.Once {
		config.GiveUpAfter = p.Connections.Catalog.Timeout
	}
	lake := lakehouse.New(config, o.lake.Store, o.lake.Catalog)
	if options.Standby {
		options.Logger.Info("standing by", "pipeline", p.Name)
		if err := lake.Log().Wait(ctx, lakehouse.Standby{Silence: silence(p), Every: 10 * time.Second}); err != nil {
			if ctx.Err() != nil {
				return pipeline.Stats{}, nil // stopped while it had nothing in hand
			}
			return pipeline.Stats{}, err
		}
	}
	all, err := definitions(p)
	if err != nil {
		return pipeline.Stats{}, err
	}
	begin, err := lake.Start(ctx, all)
	if err != nil {
		return pipeline.Stats{}, err
	}
	plugged, err := startModels(ctx, p, o.with, begin, options.ResetModels)
	if err != nil {
		return pipeline.Stats{}, err
	}
	built := plugged.models
	if err := addShadows(ctx, p, o.with, built, options.Shadows); err != nil {
		return pipeline.Stats{}, err
	}
	keyed, err := plugged.startKeyed(ctx, p, o, begin, options)
	if err != nil {
		return pipeline.Stats{}, err
	}
	defer closeAndLog(options.Logger, "keyed state", keyed.close)
	names := topicNames(built)
	topics, err := readTopics(ctx, o.broker, names)
	if err != nil {
		return pipeline.Stats{}, err
	}
	policy := pipeline.Fail
	if options.RecordLoss {
		policy = pipeline.RecordLoss
	}
	readers, err := pipeline.Resume(begin, wanted(built), topics, policy)
	if err != nil {
		return pipeline.Stats{}, err
	}
	cut := pipelineConfig(p, options, nonce, topics)
	if err := cut.Validate(); err != nil {
		return pipeline.Stats{}, err
	}
	candidates := plugged.follow(ctx, p, o.with, options)
	defer candidates.close()
	running := pipeline.New(cut, pipeline.Parts{
		Lake: lake, Start: begin, Readers: readers, Ends: ends(topics), Models: built, Keyed: keyed.models, State: keyed.pipelineState(), Probations: plugged.probations, Candidates: candidates,
		Open: func(ctx context.Context, positions []record.Position) (pipeline.Source, error) {
			return o.broker.Source(ctx, positions)
		},
		Discover: func(ctx context.Context) ([]pipeline.Topic, error) { return readTopics(ctx, o.broker, names) },
		Rebuild: func(ctx context.Context, m pipeline.Model, t *lakehouse.Table) (pipeline.Model, error) {
			return rebuild(ctx, p, m.Name, o.with, t)
		},
		Confirm: func(ctx context.Context, positions []record.Position) error {
			return o.broker.Confirm(ctx, "calve-"+p.Name, positions)
		},
		Observe: o.shown.observe,
		Now:     time.Now, Logger: options.Logger, Allocator: memory.DefaultAllocator,
	})
	if begin.ConfigHash != "" && begin.ConfigHash != p.Hash() {
		options.Logger.Info("the project has changed since the last epoch", "was", begin.ConfigHash, "is", p.Hash())
	}
	options.Logger.Info("pipeline started", "pipeline", p.Name, "writer", nonce, "epoch", begin.Last+1, "topics", names)
	o.shown.begin(begin, readers, keyed.state)
	err = watched(ctx, &Running{Pipeline: running, Broker: o.broker, Topics: names}, o.shown.watch, options.Watch)
	return running.Stats(), err
}

// watched runs the pipeline beside its watchers, and waits for all of them.
func watched(ctx context.Context, running *Running, watchers ...func(context.Context, *Running)) error {
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	for _, watch := range watchers {
		if watch != nil {
			group.Go(func() { watch(watching, running) })
		}
	}
	err := running.Pipeline.Run(ctx)
	stop()
	group.Wait()
	return err
}

func pipelineConfig(p *project.Project, options RunOptions, nonce string, topics []pipeline.Topic) pipeline.Config {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	c := pipeline.Config{
		Name: p.Name, ConfigHash: p.Hash(), Nonce: nonce, Host: host,
		Interval: p.Commit.Interval, MaxBytes: p.Commit.MaxBytes, PollRecords: pollRecords,
		DiscoverEvery: discoverEvery, Heartbeat: heartbeat, StopGrace: p.Connections.Catalog.Timeout,
	}
	if ratio := p.Limits.MaxDeadRatio; ratio < 1 {
		c.MaxDeadRatio = &ratio
	}
	if options.Once {
		c.Heartbeat = 0 // it is over before anyone could wonder
		c.Until = ends(topics)
	}
	return c
}

// ends is where partitions end.
func ends(topics []pipeline.Topic) map[record.TopicPartition]int64 {
	at := map[record.TopicPartition]int64{}
	for _, t := range topics {
		for _, partition := range t.Partitions {
			at[record.TopicPartition{Topic: t.Name, Partition: partition.ID}] = partition.End
		}
	}
	return at
}

func readTopics(ctx context.Context, broker *Broker, names []string) ([]pipeline.Topic, error) {
	found, err := broker.Topics(ctx, names...)
	if err != nil {
		return nil, err
	}
	topics := make([]pipeline.Topic, len(found))
	for i, t := range found {
		topics[i] = pipeline.Topic{Name: t.Name, Origin: t.Origin}
		for _, partition := range t.Partitions {
			topics[i].Partitions = append(topics[i].Partitions, pipeline.Partition{ID: partition.ID, Start: partition.Start, End: partition.End})
		}
	}
	return topics, nil
}

func topicNames(models []pipeline.Model) []string {
	var names []string
	seen := map[string]bool{}
	for _, m := range models {
		if !seen[m.Topic] {
			seen[m.Topic] = true
			names = append(names, m.Topic)
		}
	}
	return names
}

func wanted(models []pipeline.Model) []pipeline.Wanted {
	all := make([]pipeline.Wanted, len(models))
	for i, m := range models {
		all[i] = pipeline.Wanted{Name: m.Name, Topic: m.Topic}
		if m.Table != nil {
			all[i].Table = m.Table.ID.String()
		}
	}
	return all
}

// openHost starts the plugin host. Its cache holds native code, so it lives in
// the project's own folder, private to the owner.
func openHost(ctx context.Context, p *project.Project, c toolsConfig) (*wasm.Host, error) {
	host, err := wasm.New(ctx, wasm.Config{CacheDir: filepath.Join(p.Dir, ".calve", "cache", "wasm"), Logger: c.logger, Metrics: c.metrics})
	if err != nil {
		return nil, fmt.Errorf("start plugin host: %w", err)
	}
	return host, nil
}

func closeAndLog(logger *slog.Logger, what string, closing func() error) {
	if err := closing(); err != nil && !errors.Is(err, context.Canceled) {
		logger.Warn("not closed cleanly", "what", what, "error", err)
	}
}
