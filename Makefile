# cairn. `make` shows what there is.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short HEAD 2>/dev/null)
LDFLAGS  = -X main.version=$(VERSION) -X main.commit=$(COMMIT)

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

FUZZTIME ?= 30s
SOAK     ?= 10m
SEED     ?= 1001

PEER   ?= redis-server
ROUNDS ?= 3

.DEFAULT_GOAL = help

help: ## shows this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## builds bin/cairn
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/cairn .

run: build ## starts the broker on 127.0.0.1:6379 with its data in ./data (ARGS='--port 7000' adds options)
	bin/cairn $(ARGS)

test: ## runs all tests that need nothing but Go
	go test ./...

unit: ## runs the tests of the packages, at their full size
	go test -timeout 30m $$(go list ./... | grep -v /compat_test)

race: ## runs all tests with the race detector, those with random operations at a smaller size
	go test -race -short -timeout 30m ./...

compat: ## compares with a real Redis (REDIS_SERVER=/path/to/redis-server), runs client libraries (COMPAT_REQUIRE=1: all of them)
	@command -v "$${REDIS_SERVER:-redis-server}" >/dev/null || { echo "compat: no redis-server; make deps installs it"; exit 1; }
	go test -count=1 -v ./compat_test

stall: ## reports for how long each command about a million elements holds up another client
	go test -count=1 -timeout 60m -v ./compat_test -run '^TestStall$$' -stall 1000000 -stall.fsync always

bench: build ## compares with PEER (redis-server) in ROUNDS (3) rounds, half an hour, writes docs/benchmarks.md (ONLY='publish|rpop-1/128B' QUICK=1: a part)
	go build -trimpath -o bin/cairn-bench ./bench
	bin/cairn-bench -peer '$(PEER)' -rounds $(ROUNDS) $(if $(ONLY),-only '$(ONLY)') $(if $(QUICK),-quick) $(if $(BACKLOG),-backlog $(BACKLOG)) \
		$(if $(OUT),-out '$(OUT)') $(if $(AGAINST),-against '$(AGAINST)')

overload: build ## producers three times as fast as consumers at a bounded queue, writes docs/overload.md (TIME=2m RATE=500)
	go build -trimpath -o bin/cairn-overload ./bench/overload
	bin/cairn-overload $(if $(TIME),-time $(TIME)) $(if $(RATE),-rate $(RATE))

crowd: ## 10,000 clients: idle, at one key, subscribed, mad
	go test -count=1 -timeout 30m -v ./compat_test -run '^TestCrowd' -crowd 10000

fuzz: ## runs each fuzz target for FUZZTIME (30s)
	@go test -list '^Fuzz' ./... | awk '/^Fuzz/ { targets[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, targets[i]; n = 0 }' | \
	while read -r package target; do echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$package" || exit 1; done

simulate: ## simulates crashes and faults with 60 seeds (SEED=1001: the first one)
	go test -c -o bin/broker.test ./broker
	cd broker && for i in 0 20 40; do ../bin/broker.test -test.run '^TestSimulation$$' -seed $$(($(SEED) + i)) -seeds 20 || exit 1; done

soak: ## simulates crashes and faults with ever new seeds, for SOAK (10m), and kills a loaded broker again and again
	@end=$$(($$(date +%s) + $$(echo $(SOAK) | awk '/h$$/ {print $$1*3600} /m$$/ {print $$1*60} /s$$/ {print $$1+0}'))); \
	go test -c -o bin/broker.test ./broker && cd broker && \
	while [ $$(date +%s) -lt $$end ]; do \
		seed=$$(od -An -N6 -tu8 /dev/urandom | tr -d ' '); \
		../bin/broker.test -test.run Simulation -seed $$seed -seeds 40 -test.timeout 1h || exit 1; \
		echo "40 seeds from $$seed on"; \
	done
	go test -count=1 ./compat_test -run 'Kill9|Linearizable' -linear.rounds 100

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not formatted (gofmt -w):"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

docs: ## writes docs/commands.md and docs/config.md from their tables
	go test ./commands ./config -run '^TestDocs$$' -update -count=1

cover: ## shows how much of each package the tests reach
	go test -coverpkg=./... -coverprofile=coverage.out ./...
	go tool cover -func=coverage.out | tail -1

check: lint unit race simulate compat ## what CI runs

deps: ## installs what `make check` needs beside Go, on Debian: redis-server, redis-cli, client libraries
	.ci/run deps
	compat_test/clients/install

clean: ## removes what was built; ./data stays
	rm -rf bin coverage.out

.PHONY: help build run test unit race simulate soak compat stall crowd bench overload fuzz lint docs cover check deps clean
