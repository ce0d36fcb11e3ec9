package lakehouse

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
)

// Definition is what a table should be.
type Definition struct {
	ID          catalog.Identifier
	Schema      *arrow.Schema // column types of record.ParseType
	PartitionBy []PartitionField
	Properties  map[string]string // added to, and never overriding, the profile's
	Description string

	// Key makes it a keyed table: the columns that tell its rows apart. Its rows
	// change by copy-on-write (ChangeWriter). Without a key rows are appended. The
	// key's columns take no null, whatever Schema says, and are the table's
	// identifier fields.
	Key []string

	// Current names the boolean column by which the rows of a keyed table are
	// current: they are kept apart from the others, which change seldom, in files
	// of their own, sorted by key. It decides where rows lie, and nothing else.
	Current string

	// Vectors makes a keyed table one of format version 3, whose rows are taken out
	// by deletion vectors instead of writing their files anew: profile v3-dv. A
	// table that exists keeps what it is, and is refused if that is another.
	Vectors bool

	// Fixed refuses every change to the schema of a table that exists.
	Fixed bool
	// Exact refuses columns and types of a table that exists that Schema does
	// not have.
	Exact bool
}

// PartitionField is one field of a partition spec.
type PartitionField struct {
	Column    string
	Transform string // identity, year, month, day, hour, bucket, truncate
	N         int    // buckets, or width of truncate
}

// Name is the partition field's name in the table: the column and the
// transform, so that a column may have several.
func (f PartitionField) Name() string {
	if f.Transform == "identity" {
		return f.Column
	}
	return f.Column + "_" + f.Transform
}

// propertyTargetFile tells engines that compact how large files should be.
const propertyTargetFile = "write.target-file-size-bytes"

// propertyFormatVersion is the reserved property by which a table is created in
// a format version (Iceberg spec, "Table Properties").
const propertyFormatVersion = "format-version"

// vectorProperties are those in which tables of profile v3-dv differ.
var vectorProperties = map[string]string{
	propertyFormatVersion: strconv.Itoa(vectorsVersion),
	"write.delete.mode":   "merge-on-read",
	"write.update.mode":   "merge-on-read",
	"write.merge.mode":    "merge-on-read",
}

// strictProperties are the table properties of profile strict: what every
// warehouse reads (invariant 7). Page version 1 and the absence of a
// name-mapping property matter most: Snowflake fails on V2 pages, Unity
// Catalog refuses the property.
var strictProperties = map[string]string{
	propertyFormatVersion:                        strconv.Itoa(plainVersion),
	"write.format.default":                       "parquet",
	"write.parquet.compression-codec":            "zstd",
	"write.parquet.page-version":                 "1",
	"write.parquet.row-group-size-bytes":         strconv.Itoa(rowGroupBytes),
	propertyTargetFile:                           strconv.Itoa(targetFileBytes),
	"write.delete.mode":                          "copy-on-write",
	"write.update.mode":                          "copy-on-write",
	"write.merge.mode":                           "copy-on-write",
	"write.metadata.compression-codec":           "none",
	"write.metadata.metrics.default":             "truncate(16)",
	"write.metadata.previous-versions-max":       "100",
	"write.metadata.delete-after-commit.enabled": "true",
	propertyMaxSnapshotAge:                       "86400000",
	propertyMaxSnapshots:                         "100",
	"commit.retry.num-retries":                   "4",
}

func (d Definition) icebergSchema() (*iceberg.Schema, error) {
	schema, err := table.ArrowSchemaToIcebergWithFreshIDs(d.Schema, false)
	if err != nil {
		return nil, fmt.Errorf("convert schema of %s: %w", d.ID, err)
	}
	if len(d.Key) > 0 {
		return d.withKey(schema)
	}
	return schema, nil
}

func (d Definition) spec(schema *iceberg.Schema) (*iceberg.PartitionSpec, error) {
	fields := make([]iceberg.PartitionField, 0, len(d.PartitionBy))
	for i, p := range d.PartitionBy {
		source, ok := schema.FindFieldByName(p.Column)
		if !ok {
			return nil, fmt.Errorf("partition %s by %s: no such column", d.ID, p.Column)
		}
		transform, err := p.transform()
		if err != nil {
			return nil, fmt.Errorf("partition %s by %s: %w", d.ID, p.Column, err)
		}
		if !transform.CanTransform(source.Type) {
			return nil, fmt.Errorf("partition %s by %s(%s): the transform does not take a %s", d.ID, p.Transform, p.Column, source.Type)
		}
		fields = append(fields, iceberg.PartitionField{
			SourceIDs: []int{source.ID}, FieldID: firstPartitionFieldID + i, Name: p.Name(), Transform: transform,
		})
	}
	spec := iceberg.NewPartitionSpec(fields...)
	return &spec, nil
}

// vectors tells whether the table's rows are taken out by deletion vectors. Of
// one that only grows none are, so that it stays what every engine reads.
func (d Definition) vectors() bool { return d.Vectors && len(d.Key) > 0 }

// checkVersion refuses a table that was made under another profile: readers know
// it as it is, and some fail on one that is upgraded in place.
func (d Definition) checkVersion(v *evolver) {
	switch have := v.from.Version(); {
	case d.vectors() && have < vectorsVersion:
		v.refuse("format version: the table has %d, and profile v3-dv needs %d; Calve upgrades no table that readers know: set the profile back to strict, or give the model a new name", have, vectorsVersion)
	case !d.vectors() && have != plainVersion:
		choice := "give the model a new name"
		if len(d.Key) > 0 && have == vectorsVersion {
			choice = "set the profile to v3-dv, or " + choice
		}
		v.refuse("format version: the table has %d, and the project asks for %d; %s", have, plainVersion, choice)
	}
}

// firstPartitionFieldID: Iceberg spec, "Partition Evolution": ids are assigned
// from 1000 so that they never meet those of columns.
const firstPartitionFieldID = 1000

func (f PartitionField) transform() (iceberg.Transform, error) {
	switch f.Transform {
	case "identity":
		return iceberg.IdentityTransform{}, nil
	case "year":
		return iceberg.YearTransform{}, nil
	case "month":
		return iceberg.MonthTransform{}, nil
	case "day":
		return iceberg.DayTransform{}, nil
	case "hour":
		return iceberg.HourTransform{}, nil
	case "bucket":
		return iceberg.BucketTransform{NumBuckets: f.N}, nil
	case "truncate":
		return iceberg.TruncateTransform{Width: f.N}, nil
	}
	return nil, fmt.Errorf("unknown partition transform %q", f.Transform)
}

func (d Definition) createSpec(pipeline string) (catalog.CreateSpec, error) {
	schema, err := d.icebergSchema()
	if err != nil {
		return catalog.CreateSpec{}, err
	}
	spec, err := d.spec(schema)
	if err != nil {
		return catalog.CreateSpec{}, err
	}
	properties := maps.Clone(d.Properties)
	if properties == nil {
		properties = map[string]string{}
	}
	maps.Copy(properties, strictProperties)
	if d.vectors() {
		maps.Copy(properties, vectorProperties)
	}
	properties[PropertyPipeline] = pipeline
	if len(d.Key) > 0 {
		text, _ := json.Marshal(d.Key) // strings always encode
		properties[PropertyKey] = string(text)
		properties[propertyTargetFile] = strconv.Itoa(keyedFileBytes)
	}
	if err := d.checkCurrent(schema); err != nil {
		return catalog.CreateSpec{}, err
	}
	if d.Current != "" {
		properties[PropertyCurrent] = d.Current
	}
	if d.Description != "" {
		properties["comment"] = d.Description
	}
	return catalog.CreateSpec{Schema: schema, Spec: spec, Properties: properties}, nil
}

// ErrDiffers: a table exists, is not as the project declares it or as its source
// needs it, and cannot become so.
var ErrDiffers = errors.New("table differs from the project")
