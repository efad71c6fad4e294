# What go and docker do is in .ci; this names it.
SHELL := /bin/bash
LINT := go tool -modfile=.ci/lint.mod golangci-lint
WORKERS ?= 3
COMPOSE := $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

# With LOCAL_IMAGES=1 no registry is asked: tests and compose use what `make images` built.
ifdef LOCAL_IMAGES
TEST_ENV := . .ci/env;
export RELOGIN_NATS_IMAGE := relogin-test/nats:local
export RELOGIN_REDIS_IMAGE := relogin-test/redis:local
endif

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: dev
dev: ## everything in one process, with sample jobs
	go run ./cmd/relogin dev

.PHONY: test
test: ## the tests
	$(TEST_ENV) go test ./...

.PHONY: quick
quick: ## the tests that take seconds: no containers, clusters, faults or exhaustive searches
	go test -short ./...

.PHONY: race
race: ## the tests with the race detector
	$(TEST_ENV) go test -race ./...

.PHONY: faults
faults: ## an hour of faults: make faults FOR=10m SEED=7; as root, on Linux
	go test ./test/faults -v -count=1 -timeout 0 -args -for $(or $(FOR),1h) -seed $(or $(SEED),0)

.PHONY: hostile
hostile: ## what misbehaves beside healthy accounts: make hostile ONLY=killed,poison SEED=7; on Linux
	go test ./test/hostile -v -count=1 -timeout 0 -args -long -only "$(ONLY)" -seed $(or $(SEED),0) $(if $(ONLY),,-report ../../docs/guarantees.md)

.PHONY: bench
bench: ## measure against alternatives: make bench ONLY=throughput,latency ROUNDS=3; on Linux
	cd test/bench && go run . -report ../../docs/performance.md -rounds $(or $(ROUNDS),5) -only "$(ONLY)"

.PHONY: picture
picture: ## draw docs/dev.svg, what the README shows of dev
	{ echo '$$ go run ./cmd/relogin dev --once'; go run ./cmd/relogin dev --once 2>/dev/null; } >docs/dev.txt
	go tool -modfile=.ci/picture.mod freeze docs/dev.txt --language text --window --theme github-dark \
		--padding 20 --font.size 13 --font.family monospace --output docs/dev.svg
	rm docs/dev.txt

.PHONY: lint
lint: ## the linter, with the import rule
	$(LINT) run

.PHONY: vuln
vuln: ## known vulnerabilities that the code reaches
	.ci/vuln

.PHONY: fmt
fmt: ## format the code
	$(LINT) fmt

.PHONY: ci
ci: ## all that CI runs; as root, on Debian, with Docker
	.ci/run

.PHONY: images
images: ## build images of nats and redis from what is at hand
	.ci/images

.PHONY: build
build: ## bin/relogin
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/relogin ./cmd/relogin

.PHONY: up
up: ## NATS, Redis, a simulated gateway and WORKERS=3 workers in containers
	$(COMPOSE) up --build --detach --scale worker=$(WORKERS)

.PHONY: down
down: ## stop them; volumes stay
	$(COMPOSE) down
