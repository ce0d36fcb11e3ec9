# Calve. `make help` lists the targets. Everything but interop and lint needs Go alone.
SHELL := /bin/bash
GO ?= go
BENCHTIME ?= 1x
FUZZTIME ?= 20s
# Without debug information a test binary links in half the time; traces stay.
# poison overwrites the memory of batches as soon as they are released.
TESTFLAGS ?= -tags poison -ldflags='-s -w' -timeout 40m
SOAKTIME ?= 10m
PLUGINS := $(patsubst %/go.mod,%,$(wildcard examples/*/plugin/*/go.mod))
# Decoders against other libraries, which are dependencies of this module alone.
BENCHES := runtime/decode/bench
MODULES := . sdk/go $(PLUGINS) $(BENCHES)
EXAMPLE ?= weblog

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

.PHONY: build
build: plugins ## build bin/calve, with the examples inside
	$(GO) build -o bin/calve ./cmd/calve

.PHONY: plugins
plugins: ## build the plugins of the examples
	@for source in $(PLUGINS); do \
	  (cd $$source && mkdir -p ../../plugins && \
	   GOOS=wasip1 GOARCH=wasm $(GO) build -buildmode=c-shared -o ../../plugins/$$(basename $$source).wasm .) || exit 1; \
	done

.PHONY: demo
demo: plugins ## the main job end to end on real data: make demo [EXAMPLE=weblog]
	$(GO) run ./cmd/calve demo --example $(EXAMPLE) $(DEMOFLAGS)

.PHONY: test
test: ## all tests that need Go alone
	@for module in $(MODULES); do (cd $$module && $(GO) test $(TESTFLAGS) ./...) || exit 1; done

.PHONY: interop
interop: ## the same against real Kafka, MinIO and engines (installs them)
	interop/run

.PHONY: bench
bench: ## the benchmarks: make bench [BENCHTIME=10x]
	@for module in . $(BENCHES); do (cd $$module && $(GO) test -timeout 3h -run '^$$' -bench . -benchtime $(BENCHTIME) ./...) || exit 1; done

.PHONY: figures
figures: plugins ## the figures that the documentation quotes, "name value" a line
	@for module in . $(BENCHES); do (cd $$module && $(GO) test -run '^$$' -bench '^BenchmarkFigure' -benchtime 1x ./...) || echo FAIL; done | \
	  awk '/^BenchmarkFigure/ { for (i = 2; i < NF; i++) if ($$(i+1) ~ /^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$$/) print $$(i+1), $$i } \
	       /^(FAIL|panic|---)/ { print > "/dev/stderr"; failed = 1 } END { exit failed }'

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME: make fuzz [FUZZTIME=10m]
	@for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
	    echo "$$package $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
	  done; \
	done

.PHONY: soak
soak: ## long randomised runs: make soak [SOAKTIME=1h]
	CALVE_SOAK=$(SOAKTIME) $(GO) test -timeout 24h -run '^TestSoak' -v ./...

.PHONY: kill9
kill9: build ## kill -9 on real Kafka and MinIO, after make interop: make kill9 [KILL9_FLAGS="-kills 5000"]
	PATH="$(CURDIR)/bin:$$PATH" interop/kill9/check

.PHONY: lint
lint: ## golangci-lint, at the version that CI uses
	.ci/lint
