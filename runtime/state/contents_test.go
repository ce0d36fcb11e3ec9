package state

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func sample() *Contents {
	return &Contents{
		PebbleFormat: int(pebbleFormat),
		Models:       []Model{{Name: "sessions", Version: 2, Keys: 10, Bytes: 400}},
		Files: []File{
			{Name: "000012.sst", Object: "7-00112233445566ff-1", Size: 400, SHA256: strings.Repeat("ab", 32)},
			{Name: "marker.format-version.000001.013"},
		},
	}
}

// sealed gives a body the header of its digest.
func sealed(version int, body string) string {
	return fmt.Sprintf(contentsHeader, version, digest([]byte(body))) + body
}

func TestManifestFormat(t *testing.T) {
	body, err := sample().encode()
	if err != nil {
		t.Fatal(err)
	}
	want := sealed(1, fmt.Sprintf(`{"pebble_format":%d,"models":[{"name":"sessions","version":2,"keys":10,"bytes":400}],`+
		`"files":[{"name":"000012.sst","object":"7-00112233445566ff-1","size":400,"sha256":"%s"},`+
		`{"name":"marker.format-version.000001.013","size":0}]}`, pebbleFormat, strings.Repeat("ab", 32)))
	if string(body) != want {
		t.Errorf("manifest: got\n%s\nwant\n%s", body, want)
	}
	got, err := decodeContents(body)
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("decoded: got %+v, %v, want %+v", got, err, sample())
	}
}

func TestManifestThatCannotBeUsedIsRefused(t *testing.T) {
	file := func(members string) string { return `{"pebble_format":1,"models":[],"files":[{` + members + `}]}` }
	for name, row := range map[string]struct {
		text string
		want error
	}{
		"no header":        {"{}", ErrCorrupt},
		"no body":          {"calve-state 1 sha256=00", ErrCorrupt},
		"newer version":    {sealed(2, `{}`), ErrVersion},
		"newer pebble":     {sealed(1, fmt.Sprintf(`{"pebble_format":%d}`, pebbleFormat+1)), ErrVersion},
		"digest differs":   {sealed(1, `{"models":[]}`) + " ", ErrCorrupt},
		"unknown member":   {sealed(1, `{"levels":[]}`), ErrCorrupt},
		"text after":       {sealed(1, `{} {}`), ErrCorrupt},
		"no JSON":          {sealed(1, `{`), ErrCorrupt},
		"leaves folder":    {sealed(1, file(`"name":"../1.sst","object":"7-a-1","size":1`)), ErrCorrupt},
		"foreign file":     {sealed(1, file(`"name":"LOCK","object":"7-a-1","size":1`)), ErrCorrupt},
		"leaves prefix":    {sealed(1, file(`"name":"1.sst","object":"../x","size":1`)), ErrCorrupt},
		"bytes of nothing": {sealed(1, file(`"name":"1.sst","size":1`)), ErrCorrupt},
	} {
		if _, err := decodeContents([]byte(row.text)); !errors.Is(err, row.want) {
			t.Errorf("%s: got %v, want %v", name, err, row.want)
		}
	}
}

func FuzzDecodeContents(f *testing.F) {
	body, err := sample().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(sealed(1, `{}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, text := range [][]byte{data, []byte(sealed(1, string(data)))} {
			c, err := decodeContents(text)
			if err != nil {
				continue
			}
			again, err := c.encode()
			if err != nil {
				t.Fatal(err)
			}
			if back, err := decodeContents(again); err != nil || !reflect.DeepEqual(back, c) {
				t.Fatalf("decoded again: got %+v, %v, want %+v", back, err, c)
			}
		}
	})
}
