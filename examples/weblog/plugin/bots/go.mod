module github.com/calvelake/calve/examples/weblog/plugin/bots

go 1.26.0

require github.com/calvelake/calve/sdk/go v0.0.0

replace github.com/calvelake/calve/sdk/go => ../../../../sdk/go
