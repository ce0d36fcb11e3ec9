package decode

import "testing"

func TestTimesBeyondTheCalendarAreRejected(t *testing.T) {
	d := compile(t, "json", col("id", "int"), encoded(col("at", "timestamptz"), "epoch_s"), col("on", "date"), col("l", "list<timestamptz>"),
		col("m", "map<date, struct<a: timestamp>>"))
	rows, rejects := decode(t, d, values(
		`{"id":0,"at":0,"on":"0001-01-01","l":["9999-12-31T23:59:59.999999Z"]}`,
		`{"id":1,"at":-62135596800}`,
		`{"id":2,"at":-62135596801}`,
		`{"id":3,"at":253402300799.999999}`,
		`{"id":4,"at":253402300800}`,
		`{"id":5,"at":1700000000000}`, // milliseconds where seconds are declared
		`{"id":6,"l":[]}`,
		`{"id":7,"l":["2024-01-01T00:00:00Z","0000-01-01T00:00:00Z"]}`,
		`{"id":8,"on":"0000-12-31"}`,
		`{"id":9,"m":{"2024-01-01":{"a":null},"0000-01-01":{}}}`,
		`{"id":10,"m":{"2024-01-01":{"a":"0000-06-01T00:00:00"}}}`,
		`{"id":11,"m":{"2024-01-01":{"a":"2024-06-01T00:00:00"}},"l":["2024-01-01T00:00:00Z"]}`,
	))
	for i, row := range rows {
		rows[i] = row[:4]
	}
	equal(t, "rows", rows, []string{"0: 0", "1: 1", "3: 3", "6: 6", "11: "})
	equal(t, "rejects", rejects, []string{"2 type at", "4 type at", "5 type at", "7 type l", "8 type on", "9 type m", "10 type m"})
}
