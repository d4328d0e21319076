# make build   bin/berth
# make up      build Berth, start it in the background on DATA_DIR, run the example
# make down    stop it and all it runs; DATA_DIR stays
# make test    everything, end-to-end tests included (as root)
# make lint    formatting, vet
# make bench   side by side with peers, as ratios
# make docs    docs/fidelity.md from the ledgers
# make clean   remove bin
SHELL := /bin/bash
DATA_DIR ?= /var/lib/berth
# more flags of `berth up`, such as --listen 127.0.0.1:0
UP_FLAGS ?=
export CGO_ENABLED ?= 0

.PHONY: build up down test lint bench docs clean

build: bin/berth

.PHONY: bin/berth
bin/berth:
	@mkdir -p bin
	go build -trimpath -ldflags '-s -w' -o bin/berth ./cmd/berth

bin/hello.tar: examples/hello/*.go examples/hello/image/*.go
	@mkdir -p bin
	go build -trimpath -ldflags '-s -w' -o bin/hello ./examples/hello
	go run ./examples/hello/image -program bin/hello -name hello:latest -o bin/hello.tar

up: build bin/hello.tar
	@scripts/host-packages run
	bin/berth up --detach --data-dir $(DATA_DIR) $(UP_FLAGS)
	bin/berth image import --data-dir $(DATA_DIR) bin/hello.tar
	@eval "$$(bin/berth env --data-dir $(DATA_DIR))" && go run ./examples/hello/run -definition examples/hello/task-definition.json
	@echo
	@echo "Point the AWS CLI at it:   eval \"\$$(bin/berth env --data-dir $(DATA_DIR))\""
	@echo "See what runs:             bin/berth status --data-dir $(DATA_DIR)"
	@echo "Stop it and all it runs:   bin/berth down --data-dir $(DATA_DIR)"

down:
	bin/berth down --data-dir $(DATA_DIR)

test: build
	@scripts/host-packages test
	scripts/test

lint:
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt-ed: $$out"; exit 1; fi
	go vet ./...

bench: build
	@scripts/host-packages run
	go run ./bench

docs:
	go run ./cmd/fidelity >docs/fidelity.md

clean:
	rm -rf bin
