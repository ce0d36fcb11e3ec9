package kafka

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/calvelake/calve/runtime/record"
)

// Topic is a topic as it is now.
type Topic struct {
	Name string
	record.Origin
	Partitions []Partition // ascending by ID
	id         [16]byte    // TopicID in its binary form
}

// Partition is a partition as it is now.
type Partition struct {
	ID          int32
	Start       int64 // the first offset that is still held
	End         int64 // the last stable offset: what a reader of committed records reads up to, exclusive
	LeaderEpoch int32 // KIP-320; -1 if unknown
	leader      int32 // the broker's node id
}

// Topics describes topics, each once and in the order of the names; without
// names, all topics but Kafka's own. A name that does not exist is ErrNoTopic.
func (c *Client) Topics(ctx context.Context, names ...string) ([]Topic, error) {
	bounded, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	if len(names) == 0 {
		all, err := c.names(bounded)
		if err != nil {
			return nil, c.explain(ctx, "list topics", err)
		}
		if names = all; len(names) == 0 {
			return nil, nil
		}
	}
	names = unique(names)
	_, topics, err := c.describe(bounded, names)
	if err == nil {
		err = c.listOffsets(bounded, topics)
	}
	if errors.Is(err, ErrNoTopic) {
		return nil, err
	}
	if err != nil {
		return nil, c.explain(ctx, "describe topics "+strings.Join(names, ", "), err)
	}
	return topics, nil
}

// names lists all topics but Kafka's own.
func (c *Client) names(ctx context.Context) ([]string, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = nil // all
	response, err := within(ctx, func() (*kmsg.MetadataResponse, error) { return request.RequestWith(ctx, c.kafka) })
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range response.Topics {
		if t.Topic != nil && t.ErrorCode == 0 && !t.IsInternal {
			names = append(names, *t.Topic)
		}
	}
	slices.Sort(names)
	return names, nil
}

func unique(names []string) []string {
	var once []string
	for _, name := range names {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once
}

// describe asks for the cluster's id and the topics without their offsets. The
// library's cached metadata is of no use: a topic may just have been made, or
// replaced.
func (c *Client) describe(ctx context.Context, names []string) (cluster string, topics []Topic, err error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		request.Topics = append(request.Topics, t)
	}
	response, err := within(ctx, func() (*kmsg.MetadataResponse, error) { return request.RequestWith(ctx, c.kafka) })
	if err != nil {
		return "", nil, err
	}
	if response.ClusterID != nil {
		cluster = *response.ClusterID
	}
	byName := map[string]Topic{}
	for _, t := range response.Topics {
		if t.Topic == nil {
			continue
		}
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.InvalidTopicException):
			return "", nil, c.noTopic(ctx, *t.Topic)
		case err != nil:
			return "", nil, fmt.Errorf("topic %q: %w", *t.Topic, err)
		}
		byName[*t.Topic] = newTopic(cluster, t)
	}
	for _, name := range names {
		t, ok := byName[name]
		if !ok {
			return "", nil, c.noTopic(ctx, name)
		}
		topics = append(topics, t)
	}
	return cluster, topics, nil
}

func newTopic(cluster string, t kmsg.MetadataResponseTopic) Topic {
	topic := Topic{Name: *t.Topic, Origin: record.Origin{ClusterID: cluster, TopicID: topicID(t.TopicID)}, id: t.TopicID}
	for _, p := range t.Partitions {
		topic.Partitions = append(topic.Partitions, Partition{ID: p.Partition, Start: -1, End: -1, LeaderEpoch: p.LeaderEpoch, leader: p.Leader})
	}
	slices.SortFunc(topic.Partitions, func(a, b Partition) int { return cmp.Compare(a.ID, b.ID) })
	return topic
}

// topicID is KIP-516's text form: base64url without padding. Brokers older than
// 2.8 have no topic ids; theirs is empty.
func topicID(id [16]byte) string {
	if id == [16]byte{} {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}

const (
	listStart = -2
	listEnd   = -1
)

// listOffsets fills in the partitions' start and end.
func (c *Client) listOffsets(ctx context.Context, topics []Topic) error {
	for _, timestamp := range []int64{listStart, listEnd} {
		request := offsetsRequest(topics, timestamp)
		response, err := within(ctx, func() (*kmsg.ListOffsetsResponse, error) { return request.RequestWith(ctx, c.kafka) })
		if err != nil {
			return err
		}
		found := map[record.TopicPartition]int64{}
		for _, t := range response.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return fmt.Errorf("list offsets of %s/%d: %w", t.Topic, p.Partition, err)
				}
				found[record.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = p.Offset
			}
		}
		for i := range topics {
			for j := range topics[i].Partitions {
				p := &topics[i].Partitions[j]
				offset, ok := found[record.TopicPartition{Topic: topics[i].Name, Partition: p.ID}]
				if !ok {
					return fmt.Errorf("list offsets of %s/%d: the broker left the partition out of its answer", topics[i].Name, p.ID)
				}
				if timestamp == listStart {
					p.Start = offset
				} else {
					p.End = offset
				}
			}
		}
	}
	return nil
}

func offsetsRequest(topics []Topic, timestamp int64) *kmsg.ListOffsetsRequest {
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	request.IsolationLevel = 1 // read committed: the end is the last stable offset
	for _, t := range topics {
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = t.Name
		for _, p := range t.Partitions {
			partition := kmsg.NewListOffsetsRequestTopicPartition()
			partition.Partition = p.ID
			partition.Timestamp = timestamp
			topic.Partitions = append(topic.Partitions, partition)
		}
		request.Topics = append(request.Topics, topic)
	}
	return request
}

// noTopic says that a topic does not exist and which others do.
func (c *Client) noTopic(ctx context.Context, name string) error {
	hint := ""
	if all, err := c.names(ctx); err == nil {
		if near := nearest(name, all); len(near) > 0 {
			hint = "; there is " + strings.Join(near, ", ")
		}
	}
	return fmt.Errorf("kafka at %s: %w: %q%s: check the name, or create it with: calve produce %s < file", strings.Join(c.config.Brokers, ", "), ErrNoTopic, name, hint, name)
}

// nearest returns up to three of all that look like name: at most a third of
// its letters differ.
func nearest(name string, all []string) []string {
	type scored struct {
		name     string
		distance int
	}
	var near []scored
	for _, other := range all {
		if d := distance(strings.ToLower(name), strings.ToLower(other)); d <= max(2, len(name)/3) {
			near = append(near, scored{other, d})
		}
	}
	slices.SortStableFunc(near, func(a, b scored) int { return cmp.Compare(a.distance, b.distance) })
	var names []string
	for _, n := range near[:min(3, len(near))] {
		names = append(names, fmt.Sprintf("%q", n.name))
	}
	return names
}

// distance is Levenshtein's, over bytes: topic names are ASCII.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := above
			if a[i] != b[j] {
				change++
			}
			above = row[j+1]
			row[j+1] = min(change, above+1, row[j]+1)
		}
	}
	return row[len(b)]
}
