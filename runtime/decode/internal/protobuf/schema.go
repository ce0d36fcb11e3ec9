package protobuf

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/calvelake/calve/runtime/decode/registry"
)

// Schema is a file of a schema registry with all that it imports.
type Schema struct {
	file  protoreflect.FileDescriptor
	types *dynamicpb.Types // of the file and all that it imports
	// entries tells whether message indexes count the entries of maps: they do
	// where the registry's form of the schema spells them as messages.
	entries bool
}

// mainFile is the name of the schema itself, which registries do not name. No
// import can be called that: the name is no path of a protoc command.
const mainFile = "registry:schema.proto"

// Parse compiles a schema of type PROTOBUF: text in the Protocol Buffers
// language (proto2, proto3, editions), or a FileDescriptorProto in base64, as a
// registry serves with format=serialized. Imports are found among the
// references, or are those that the Confluent Schema Registry has built in:
// google/protobuf, google/type, confluent/meta.proto and
// confluent/type/decimal.proto.
func Parse(s registry.Schema) (*Schema, error) {
	if s.Type != registry.Protobuf {
		return nil, fmt.Errorf("schema %d is of type %s, expected %s", s.ID, s.Type, registry.Protobuf)
	}
	texts := map[string]string{mainFile: s.Text}
	for _, r := range s.References {
		texts[r.Name] = r.Text
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(protocompile.CompositeResolver{given(texts), builtIn}),
		MaxParallelism: 1,
	}
	files, err := compiler.Compile(context.Background(), mainFile)
	if err != nil {
		return nil, fmt.Errorf("schema %d: %s", s.ID, strings.ReplaceAll(err.Error(), mainFile, "schema"))
	}
	linked, err := relink(files[0])
	if err != nil {
		return nil, fmt.Errorf("schema %d: %w", s.ID, err)
	}
	file, err := linked.FindFileByPath(mainFile)
	if err != nil {
		return nil, fmt.Errorf("schema %d: %w", s.ID, err)
	}
	return &Schema{file: file, types: dynamicpb.NewTypes(linked), entries: spellsEntries(s.Text) || serialized(s.Text) != nil}, nil
}

// spellsEntries tells whether a text declares entries of maps as messages, as
// registries do for a schema that was registered as a descriptor. protoc refuses
// that form, so such a file is compiled without the compiler's first checks;
// those of relink remain.
func spellsEntries(text string) bool { return strings.Contains(text, "map_entry") }

// given finds the files of a registry.
func given(texts map[string]string) protocompile.Resolver {
	return protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
		text, ok := texts[path]
		if !ok {
			return protocompile.SearchResult{}, fmt.Errorf("%q is neither a reference of the schema nor built in", path)
		}
		if file := serialized(text); file != nil {
			file.Name = &path
			return protocompile.SearchResult{Proto: file}, nil
		}
		if spellsEntries(text) {
			return unchecked(path, text)
		}
		return protocompile.SearchResult{Source: strings.NewReader(text)}, nil
	})
}

func unchecked(path, text string) (protocompile.SearchResult, error) {
	handler := reporter.NewHandler(nil)
	tree, err := parser.Parse(path, strings.NewReader(text), handler)
	if err != nil {
		return protocompile.SearchResult{}, err
	}
	result, err := parser.ResultFromAST(tree, false, handler)
	return protocompile.SearchResult{ParseResult: result}, err
}

// builtIn finds the files that every registry has.
var builtIn = protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
	file, err := imports.Open("imports/" + path)
	if err != nil {
		return protocompile.SearchResult{}, fmt.Errorf("%q is neither a reference of the schema nor built in", path)
	}
	return protocompile.SearchResult{Source: file.(io.ReadCloser)}, nil
})

// serialized reads a FileDescriptorProto in base64; nil if text is none.
func serialized(text string) *descriptorpb.FileDescriptorProto {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) == 0 {
		return nil
	}
	file := new(descriptorpb.FileDescriptorProto)
	if proto.Unmarshal(raw, file) != nil {
		return nil
	}
	return file
}

// relink makes descriptors of protobuf-go's own, which alone know all features
// of editions.
func relink(file linker.File) (*protoregistry.Files, error) {
	set := new(descriptorpb.FileDescriptorSet)
	collect(file, map[string]bool{}, set)
	return protodesc.NewFiles(set)
}

func collect(file protoreflect.FileDescriptor, seen map[string]bool, set *descriptorpb.FileDescriptorSet) {
	if seen[file.Path()] {
		return
	}
	seen[file.Path()] = true
	for i := range file.Imports().Len() {
		collect(file.Imports().Get(i).FileDescriptor, seen, set)
	}
	set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
}

// message finds a message by the indexes of the Confluent wire format: the
// first among the file's messages, each next among those nested in the one
// before.
func (s *Schema) message(indexes []int) (protoreflect.MessageDescriptor, error) {
	if len(indexes) == 0 {
		return nil, fmt.Errorf("no message index")
	}
	var found protoreflect.MessageDescriptor
	among, where := s.file.Messages(), "the schema"
	for _, i := range indexes {
		found = s.nth(among, i)
		if found == nil {
			return nil, fmt.Errorf("message index %v: %s has no message %d", indexes, where, i)
		}
		among, where = found.Messages(), string(found.FullName())
	}
	if found.IsMapEntry() {
		return nil, fmt.Errorf("message index %v names %s, the entry of a map", indexes, found.FullName())
	}
	return found, nil
}

func (s *Schema) nth(among protoreflect.MessageDescriptors, n int) protoreflect.MessageDescriptor {
	for i := range among.Len() {
		m := among.Get(i)
		if m.IsMapEntry() && !s.entries {
			continue
		}
		if n == 0 {
			return m
		}
		n--
	}
	return nil
}
