package lakehouse

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/calvelake/calve/runtime/record"
)

var update = flag.Bool("update", false, "rewrite golden files")

func goldenEpoch() *Epoch {
	watermark, behind, open := int64(1431857100000000), int64(5), int64(3)
	return &Epoch{
		Number: 7, Pipeline: "shop", Writer: "00112233445566ff", Host: "writer-1",
		StartedAt: 1431857103000000, DecidedAt: 1431857113000000, ConfigHash: "c0ffee",
		Plugins: map[string]string{"botcheck@stable": "5e1f"},
		Readers: []Reader{{Name: "main", Models: []string{"stg_orders"}, Inputs: map[string]string{"stg_orders": "orders"}, Ranges: []Range{{
			ClusterID: "cluster", TopicID: "topic", Topic: "orders", Partition: 2, From: 10, To: 25,
			LeaderEpoch: 3, Delivered: 12, Watermark: &watermark, Lost: []Interval{{From: 10, To: 12}},
		}}}},
		State: &StateManifest{Location: "s3://lake/shop/_calve/shop/state/7-00112233445566ff-1", SHA256: "ab"},
		Watermarks: map[string]record.Watermark{"stg_orders": {At: watermark, Seen: watermark - 1, Partitions: []record.WatermarkPartition{
			{Topic: "orders", Partition: 2, Newest: watermark + 1, HeardAt: 1431857110000000, Idle: true},
		}}},
		Keyed: []KeyedModel{{
			Name: "int_sessions", Definition: "session 0badcafe", Describes: []string{"gap 30m0s"}, Behind: &behind, Open: &open,
			Watermark: &Reached{At: watermark - 4, Seen: watermark - 5},
			Rework:    &Rework{Shown: watermark - 2, Request: "reconcile-1", Until: 6, Seen: watermark - 3},
		}},
		Changes: []TableChange{{
			Table: "marts.fct_orders", UUID: uuid.MustParse("9c12d441-03fe-4693-9a96-a0705ddf69c1"), Prev: 5,
			Add:     []File{{Location: "s3://lake/a.parquet", Bytes: 100, Rows: 12, SHA256: "cd", Entry: []byte{1, 2, 3}}},
			Replace: []string{"s3://lake/b.parquet"},
			Vectors: []Vector{{
				Location: "s3://lake/d.puffin", Bytes: 200, SHA256: "0a", DataFile: "s3://lake/e.parquet", Replaces: "s3://lake/f.puffin#4", Entry: []byte{4, 5},
			}},
			Format:     3,
			ChangeFile: &ChangeFile{Location: "s3://lake/c.parquet", SHA256: "ef"},
			Counts:     []Counts{{Model: "fct_orders", In: 12, Out: 12}},
		}},
		Tables:   []TableState{{Table: "marts.fct_orders", UUID: uuid.MustParse("9c12d441-03fe-4693-9a96-a0705ddf69c1"), Epoch: 7}},
		Retired:  []string{"marts.old"},
		Requests: []Request{{ID: "replay-1", Cursor: "42", Done: true}},
	}
}

func TestEpochFormatIsTheGoldenFile(t *testing.T) {
	got, err := goldenEpoch().Encode()
	if err != nil {
		t.Fatal(err)
	}
	const name = "testdata/epoch-v1.golden"
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("epoch encodes as\n%s\nwant\n%s\n(a change of the format needs a new version, not a new golden file)", got, want)
	}
	decoded, err := DecodeEpoch(want)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(decoded, goldenEpoch()) {
		t.Errorf("decoded %+v, want %+v", decoded, goldenEpoch())
	}
}

func TestEpochGoldenFileSetsEveryMember(t *testing.T) {
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		switch v.Kind() {
		case reflect.Pointer:
			walk(v.Elem(), path)
		case reflect.Slice:
			if v.Len() == 0 {
				t.Errorf("%s is empty in the golden epoch", path)
				return
			}
			if v.Index(0).Kind() == reflect.Struct {
				walk(v.Index(0), path)
			}
		case reflect.Struct:
			for i := range v.NumField() {
				name := path + "." + v.Type().Field(i).Name
				if v.Field(i).IsZero() && !strings.Contains(".SchemaID.SpecID.Dead.Filtered", "."+v.Type().Field(i).Name) {
					t.Errorf("%s is zero in the golden epoch", name)
					continue
				}
				walk(v.Field(i), name)
			}
		}
	}
	walk(reflect.ValueOf(*goldenEpoch()), "Epoch")
}

func TestDecodeEpochRefusesWhatItCannotTrust(t *testing.T) {
	good, err := goldenEpoch().Encode()
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(strings.Replace(string(good), `"from":10`, `"from":11`, 1))
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":           {nil, ErrCorrupt},
		"not a record":    {[]byte("{}"), ErrCorrupt},
		"one bit changed": {flipped, ErrCorrupt},
		"cut short":       {good[:len(good)-5], ErrCorrupt},
		"newer members":   {sealedEpoch(`{"number":1,"phase":"new"}`), ErrVersion},
		"newer version":   {[]byte(strings.Replace(string(good), "calve-epoch 1", "calve-epoch 2", 1)), ErrVersion},
	} {
		if _, err := DecodeEpoch(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// sealedEpoch is a body with its digest.
func sealedEpoch(body string) []byte {
	digest := sha256.Sum256([]byte(body))
	return append(fmt.Appendf(nil, epochHeader, EpochVersion, hex.EncodeToString(digest[:])), body...)
}
