package fastjson

import (
	"strconv"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/decode/internal/debezium"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

const event = `{"before":null,"after":{"id":1,"name":"Ada","tags":["a"],"data":"AP8="},"source":{"version":"3.0","connector":"postgresql","ts_ms":5,"db":"shop","lsn":77,"xmin":null},"op":"c","ts_ms":9}`

// changed is the event with parts replaced.
func changed(parts ...string) string { return strings.NewReplacer(parts...).Replace(event) }

func TestChangesThatAreRead(t *testing.T) {
	f, schema := fields(t, "id: long", "name: string", "tags: list<string>", "data: binary")
	plan, err := NewChangePlan(f, Options{}, Changes{Marker: debezium.NewMarker(""), Natural: [][]string{{"id"}, {"name"}}})
	if err != nil {
		t.Fatal(err)
	}
	const (
		update  = `"op":"u"`
		before  = `"before":{"id":1,"name":"Ada","tags":null,"data":null}`
		full    = `"before":{"id":1,"name":"Ada","tags":[],"data":""},"after":null,"other":{"id":1,"name":"Ada","tags":["a"],"data":"AP8="}`
		marker  = "__debezium_unavailable_value"
		created = `"op":"c"`
	)
	wrap := func(text string) string { return `{"schema":{"type":"struct","fields":[{}]},"payload":` + text + `}` }
	for name, test := range map[string]struct{ event, want string }{
		"create":                 {event, `c 1 Ada ["a"] AP8= 5000 00000000000000000077`},
		"read":                   {changed(created, `"op":"r"`), `r 1 Ada ["a"] AP8= 5000 00000000000000000077`},
		"update":                 {changed(created, update), `u 1 Ada ["a"] AP8= 5000 00000000000000000077`},
		"update of the same key": {changed(created, update, `"before":null`, before), `u 1 Ada ["a"] AP8= 5000 00000000000000000077`},
		"update of the key":      {changed(created, update, `"before":null`, strings.Replace(before, "Ada", "Eve", 1)), ""},
		"update from no key":     {changed(created, update, `"before":null`, `"before":{"id":1}`), ""},
		"with a schema":          {wrap(event), `c 1 Ada ["a"] AP8= 5000 00000000000000000077`},
		"with more":              {wrap(event)[:len(wrap(event))-1] + `,"x":1}`, ""},
		"payload first":          {`{"payload":` + event + `,"schema":{}}`, ""},
		"delete":                 {`{` + full + event[strings.Index(event, `,"source"`):len(event)-len(`"c","ts_ms":9}`)] + `"d"}`, `d 1 Ada [] "" 5000 00000000000000000077`},
		"delete without image":   {changed(created, `"op":"d"`), ""},
		"delete of part":         {changed(created, `"op":"d"`, `"before":null`, before, `"after"`, `"other"`), ""},
		"truncate":               {changed(created, `"op":"t"`), ""},
		"message":                {changed(created, `"op":"m"`), ""},
		"no op":                  {changed(created, `"x":1`), ""},
		"other op":               {changed(created, `"op":"x"`), ""},
		"no image":               {changed(`"after"`, `"other"`), ""},
		"image is text":          {changed(`"after":{`, `"after":"{}","other":{`), ""},
		"no source":              {changed(`"source"`, `"other"`), `c 1 Ada ["a"] AP8=`},
		"source is null":         {changed(`"source":{`, `"source":null,"other":{`), `c 1 Ada ["a"] AP8=`},
		"source is a number":     {changed(`"source":{`, `"source":1,"other":{`), ""},
		"db is a number":         {changed(`"shop"`, `1`), ""},
		"lsn is text":            {changed(`77`, `"77"`), ""},
		"lsn is null":            {changed(`77`, `null`), `c 1 Ada ["a"] AP8= 5000`},
		"unavailable text":       {changed("Ada", marker), ""},
		"unavailable list":       {changed(`"a"`, `"`+marker+`"`), ""},
		"unavailable bytes":      {changed("AP8=", "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="), ""},
		"escaped marker":         {changed("Ada", `\u005f`+marker[1:]), ""},
		"a null":                 {"null", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // what a schema was is remembered
				set, err := vector.NewSet(schema, 1, 0)
				if err != nil {
					t.Fatal(err)
				}
				r := plan.Reader(set)
				var source debezium.Source
				got := ""
				op, ok := r.ReadChange([]byte(test.event), &source)
				if ok {
					got = op.String()
					set.Next()
					for _, c := range set.Batch().Columns() {
						text := c.ValueStr(0)
						if text == "" {
							text = `""`
						}
						got += " " + text
					}
					if at, ok := source.Timestamp(); ok {
						got += " " + strconv.FormatInt(at, 10)
					}
					if sequence, ok := source.AppendSequence(nil); ok {
						got += " " + string(sequence)
					}
				}
				r.Close()
				if got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			}
		})
	}
}
