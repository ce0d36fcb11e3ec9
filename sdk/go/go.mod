module github.com/calvelake/calve/sdk/go

go 1.26.0
