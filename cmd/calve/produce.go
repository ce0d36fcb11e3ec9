package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/kafka"
)

func newProduce(s *settings) *cobra.Command {
	var (
		brokers    string
		separator  string
		create     bool
		partitions int
	)
	cmd := &cobra.Command{
		Use:   "produce TOPIC < FILE",
		Short: "Write the lines of standard input to a topic, one record each",
		Long: `Write the lines of standard input to a topic of the project's Kafka, one record
a line, acknowledged by all replicas. A project on the embedded broker creates
topics as needed.`,
		Example: `  calve produce access_log --project weblog < access.log
  calve produce orders --brokers localhost:9092 --create --partitions 6 < orders.ndjson
  calve produce orders --key-separator '|' < keyed.txt     # key|value`,
		Args: exactArgs("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.checkOutput(); err != nil {
				return err
			}
			if in, ok := cmd.InOrStdin().(*os.File); ok && isTerminal(in) {
				return usageError{fmt.Errorf("produce reads records from standard input; redirect a file to it: calve produce %s < FILE", args[0])}
			}
			client, embedded, closing, err := s.openKafka(cmd, brokers)
			if err != nil {
				return err
			}
			config := kafka.ProduceConfig{Topic: args[0], CreateTopic: create || embedded, Partitions: partitions}
			n, err := client.Produce(cmd.Context(), config, kafka.Lines(cmd.InOrStdin(), separator))
			if closeErr := closing(); err == nil {
				err = closeErr
			}
			if err != nil {
				return fmt.Errorf("produce to %s: %d records were acknowledged: %w", args[0], n, err)
			}
			return s.reportProduce(cmd.OutOrStdout(), args[0], n)
		},
	}
	cmd.Flags().StringVar(&brokers, "brokers", "", "host:port,… instead of the project's Kafka")
	cmd.Flags().StringVar(&separator, "key-separator", "", "text between key and value; without it a line is the value")
	cmd.Flags().BoolVar(&create, "create", false, "create the topic if it does not exist")
	cmd.Flags().IntVar(&partitions, "partitions", 0, "partitions of a topic that is created (default: the broker's)")
	return s.withOutput(s.withProject(cmd))
}

// openKafka connects to the brokers named, or else to the project's.
func (s *settings) openKafka(cmd *cobra.Command, brokers string) (client *kafka.Client, embedded bool, closing func() error, err error) {
	logger, err := s.logger()
	if err != nil {
		return nil, false, nil, err
	}
	if brokers != "" {
		client, err := kafka.Open(cmd.Context(), kafka.Config{Brokers: strings.Split(brokers, ",")}, logger)
		if err != nil {
			return nil, false, nil, err
		}
		return client, false, func() error { client.Close(); return nil }, nil
	}
	p, err := s.load()
	if err != nil {
		return nil, false, nil, err
	}
	broker, err := daemon.OpenBroker(cmd.Context(), p, logger)
	if err != nil {
		return nil, false, nil, err
	}
	return broker.Client, p.Connections.Kafka.Embedded != nil, broker.Close, nil
}

func (s *settings) reportProduce(out io.Writer, topic string, n int64) error {
	if s.output == "json" {
		return writeJSON(out, map[string]any{"topic": topic, "records": n})
	}
	_, err := fmt.Fprintf(out, "%d records to %s\n", n, topic)
	return err
}
