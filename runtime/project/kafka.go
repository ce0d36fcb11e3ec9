package project

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultBrokerDir    = ".calve/broker"
	defaultBrokerListen = "127.0.0.1:9092"
	defaultClientID     = "calve"
	defaultTimeout      = 30 * time.Second
)

// Kafka says where events come from: a cluster, or the embedded broker.
type Kafka struct {
	Embedded       *EmbeddedBroker // nil when Brokers are given
	Brokers        []string        // host:port
	SASL           *SASL           // nil for none
	TLS            *TLS            // nil for plain connections
	SchemaRegistry *SchemaRegistry // nil for none
	Timeout        time.Duration   // of one request, and for reaching the cluster at start
	ClientID       string
}

// EmbeddedBroker is a broker in Calve's own process.
type EmbeddedBroker struct {
	Dir    string // where it keeps its log, relative to the project's folder
	Listen string // host:port
}

// SASLMechanism is how a client proves who it is.
type SASLMechanism string

const (
	SASLPlain       SASLMechanism = "plain"
	SASLScramSHA256 SASLMechanism = "scram-sha-256"
	SASLScramSHA512 SASLMechanism = "scram-sha-512"
)

// SASL is the log-in to a cluster.
type SASL struct {
	Mechanism SASLMechanism
	Username  string
	Password  Secret
}

// TLS encrypts the connections to a cluster or a schema registry. Files are
// PEM, relative to the project's folder.
type TLS struct {
	CAFile             string // "" for the system's authorities
	CertFile, KeyFile  string // the client's own, both or neither
	ServerName         string // "" for the server's host name
	InsecureSkipVerify bool
}

// SchemaRegistry is a Confluent-compatible registry.
type SchemaRegistry struct {
	URLs     []string // servers of one registry, paths included
	Username string   // for basic authentication, with Password
	Password Secret
	Token    Secret // for bearer authentication, instead of them
	TLS      *TLS   // nil for the system's authorities
}

var kafkaShape = object[Kafka]{
	name: "kafka connection",
	doc:  "A Kafka cluster, or the embedded broker.",
	fields: []field[Kafka]{
		key("embedded", optional(embeddedShape), func(k *Kafka) **EmbeddedBroker { return &k.Embedded }, "A broker in Calve's own process; the default."),
		key("brokers", shape[[]string](brokersShape), func(k *Kafka) *[]string { return &k.Brokers }, "The brokers to ask first: \"a:9092,b:9092\" or a list."),
		key("sasl", optional(saslShape), func(k *Kafka) **SASL { return &k.SASL }, "The log-in."),
		key("tls", shape[*TLS](tlsShape), func(k *Kafka) **TLS { return &k.TLS }, "true, or the files to use."),
		key("schema_registry", optional[SchemaRegistry](registryShape), func(k *Kafka) **SchemaRegistry { return &k.SchemaRegistry }, "The URL of a Confluent-compatible schema registry, several separated by commas, or a mapping with its log-in."),
		key("timeout", positiveDuration, func(k *Kafka) *time.Duration { return &k.Timeout }, "Time-out of one request, and for reaching the cluster at start.").or("30s"),
		key("client_id", nonEmpty, func(k *Kafka) *string { return &k.ClientID }, "The name by which the brokers know this client.").or(defaultClientID),
	},
	check: checkKafka,
}

func checkKafka(r reader, k *Kafka) {
	if len(k.Brokers) > 0 {
		if k.Embedded != nil {
			r.failAt("embedded", "embedded and brokers exclude each other", "remove one of them")
		}
		return
	}
	if k.Embedded == nil {
		k.Embedded = &EmbeddedBroker{Dir: defaultBrokerDir, Listen: defaultBrokerListen}
	}
	if k.SASL != nil {
		r.failAt("sasl", "sasl needs brokers, the embedded broker has no log-in", "give brokers, or remove sasl")
	}
	if k.TLS != nil {
		r.failAt("tls", "tls needs brokers, the embedded broker has no TLS", "give brokers, or remove tls")
	}
}

var embeddedShape = object[EmbeddedBroker]{
	name: "embedded broker",
	fields: []field[EmbeddedBroker]{
		key("dir", nonEmpty, func(e *EmbeddedBroker) *string { return &e.Dir }, "Where the broker keeps its log, relative to the project's folder.").or(defaultBrokerDir),
		key("listen", address, func(e *EmbeddedBroker) *string { return &e.Listen }, "host:port to listen on.").or(defaultBrokerListen),
	},
}

var saslShape = object[SASL]{
	name: "sasl",
	fields: []field[SASL]{
		key("mechanism", oneOf(SASLPlain, SASLScramSHA256, SASLScramSHA512), func(s *SASL) *SASLMechanism { return &s.Mechanism }, "How the client proves who it is.").must(),
		key("username", nonEmpty, func(s *SASL) *string { return &s.Username }, "The user.").must(),
		key("password", secret, func(s *SASL) *Secret { return &s.Password }, "The password; better ${KAFKA_PASSWORD} than itself.").must(),
	},
}

var tlsShape = either[*TLS]{
	short: convert(shape[bool](boolean), func(on bool) *TLS {
		if !on {
			return nil
		}
		return &TLS{}
	}),
	long: optional(object[TLS]{
		name: "tls",
		fields: []field[TLS]{
			key("ca_file", nonEmpty, func(t *TLS) *string { return &t.CAFile }, "Certificates of the authorities to trust (PEM); the system's by default."),
			key("cert_file", nonEmpty, func(t *TLS) *string { return &t.CertFile }, "The client's certificate (PEM)."),
			key("key_file", nonEmpty, func(t *TLS) *string { return &t.KeyFile }, "The client's key (PEM)."),
			key("server_name", nonEmpty, func(t *TLS) *string { return &t.ServerName }, "The name to expect in the server's certificate; its host by default."),
			key("insecure_skip_verify", boolean, func(t *TLS) *bool { return &t.InsecureSkipVerify }, "Accept any certificate; for tests only.").or("false"),
		},
		check: func(r reader, t *TLS) {
			if (t.CertFile == "") != (t.KeyFile == "") {
				r.failHere("cert_file and key_file go together", "give both or neither")
			}
		},
	}),
}

var registryShape = either[SchemaRegistry]{
	short: convert(shape[[]string](registryURLs), func(urls []string) SchemaRegistry { return SchemaRegistry{URLs: urls} }),
	long: object[SchemaRegistry]{
		name: "schema registry",
		fields: []field[SchemaRegistry]{
			key("url", shape[[]string](either[[]string]{
				short: registryURLs,
				long:  list[string]{of: registryURL, least: 1, simple: true, unique: func(s string) string { return s }},
			}), func(s *SchemaRegistry) *[]string { return &s.URLs }, "Where the registry is, path included: \"https://a:8081,https://b:8081\" or a list.").must(),
			key("username", nonEmpty, func(s *SchemaRegistry) *string { return &s.Username }, "The user, for basic authentication."),
			key("password", secret, func(s *SchemaRegistry) *Secret { return &s.Password }, "The password."),
			key("token", secret, func(s *SchemaRegistry) *Secret { return &s.Token }, "The token, for bearer authentication; instead of username and password."),
			key("tls", shape[*TLS](tlsShape), func(s *SchemaRegistry) **TLS { return &s.TLS }, "The files to use with https://."),
		},
		check: checkRegistry,
	},
}

func checkRegistry(r reader, s *SchemaRegistry) {
	if (s.Username == "") != s.Password.IsZero() {
		r.failHere("username and password go together", "give both or neither")
	}
	if s.Username != "" && !s.Token.IsZero() {
		r.failAt("token", "token and username exclude each other", "remove one of them")
	}
	secure := func(u string) bool { return strings.HasPrefix(strings.ToLower(u), "https://") }
	if s.TLS != nil && len(s.URLs) > 0 && !slices.ContainsFunc(s.URLs, secure) {
		r.failAt("tls", "tls needs a url that begins with https://", "change the url, or remove tls")
	}
}

// registryURLs is one URL, or several separated by commas.
var registryURLs = patterned("URLs, http:// or https://", `^https?://`, func(text string) ([]string, error) {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		one, err := registryURL.parse(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
})

// registryURL is a URL that paths are appended to.
var registryURL = patterned("a URL, http:// or https://", `^https?://[^?#]+$`, func(text string) (string, error) {
	if strings.ContainsAny(text, "?#") {
		return "", hintedError{"the URL of a schema registry ends with its path", "remove what begins with ? or #"}
	}
	return webURL.parse(text)
})

// brokersShape is host:port, several separated by commas or as a list.
var brokersShape = either[[]string]{
	short: patterned("broker addresses such as a:9092,b:9092", `\S`, func(text string) ([]string, error) {
		var out []string
		for part := range strings.SplitSeq(text, ",") {
			one, err := parseAddress(strings.TrimSpace(part))
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		}
		return out, nil
	}),
	long: list[string]{of: address, least: 1, simple: true, unique: func(s string) string { return s }},
}

var address = patterned("an address such as 127.0.0.1:9092", `:[0-9]+$`, parseAddress)

func parseAddress(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || strings.ContainsAny(host, "/@ ") {
		return "", fmt.Errorf("%q is no address, expected host:port", excerpt(text))
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", fmt.Errorf("%q is no address: the port must be a number from 0 to 65535", excerpt(text))
	}
	return text, nil
}

// webURL is an http or https URL without a log-in in it, since URLs are printed.
var webURL = patterned("a URL, http:// or https://", `^https?://`, func(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("expected a URL, http://host… or https://host…")
	}
	if u.User != nil {
		return "", hintedError{"a URL must not hold a log-in, since URLs are printed", "use the keys for user, password or credential"}
	}
	return text, nil
})
