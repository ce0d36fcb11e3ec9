package author

import (
	"archive/zip"
	"bytes"
	"embed"
	"fmt"
	"io/fs"
)

// archives holds the SDKs' sources, <language>.zip. They are generated from the
// folder sdk by `go test ./plugins/author -update`, since a binary can embed
// neither another module's files nor those of a folder above.
//
//go:embed archives/*.zip
var archives embed.FS

// SDK is the sources of a language's SDK, as they are put into new projects.
func SDK(l Language) (fs.FS, error) {
	data, err := archives.ReadFile("archives/" + string(l) + ".zip")
	if err != nil {
		return nil, fmt.Errorf("open the SDK for %s: %w", l, err)
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("open the SDK for %s: %w", l, err)
	}
	return r, nil
}
