package dimension

// UnknownKey is the surrogate and durable key of the unknown member, which
// facts refer to where a part of a natural key is null, or where a member has
// no version at a time. Its own natural key is null.
const UnknownKey = "default_null_key"

// Within brings a time, µs since 1970 UTC, between Beginning and Forever, as that of
// every version is.
func Within(at int64) int64 { return min(max(at, Beginning), Forever-1) }

// Lookup asks for the version of a member that is in force at a time.
type Lookup struct {
	// Member is the natural key, none of it null: its columns, in the order and
	// types of Program.NaturalKey, as rowcodec.AppendRow writes them.
	Member []byte
	At     int64 // µs since 1970 UTC
}

// Found is the version of a Lookup.
type Found struct {
	Key     string // the surrogate key
	Durable string // the durable key; "" for a dimension without one
	// Row is its columns, as rowcodec.AppendRow writes those of
	// Program.Attributes.
	Row []byte
}

// Moved is a member and a range of time: for a time in [From, To), µs since 1970
// UTC, what Resolve finds of it is no longer what it was.
type Moved struct {
	Member   []byte // as in Lookup
	From, To int64
	Keys     bool // keys are others, or none; else it is attributes alone
}
