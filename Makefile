# Herald: `make help` says what can be made.

GO      ?= go
TOOL    := $(GO) tool -modfile=tools.mod
APT     := env DEBIAN_FRONTEND=noninteractive apt-get
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PGBIN   := $(shell ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)

.DEFAULT_GOAL := help
.PHONY: help run build faxline test check format race bench assets screenshots deps test-deps clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: deps build ## start Herald with its own PostgreSQL, simulators and a seeded shop
	bin/herald demo

build: ## make bin/herald
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/herald ./cmd/herald

# A program of its own, since its library is under the LGPL and needs cgo.
faxline: bin/faxline ## make bin/faxline, a fax modem with a line and a fax, to try HylaFAX with (docs/fax.md)

FAXLINE := $(wildcard hardware/sim/fax/*.[ch])
bin/faxline: $(FAXLINE)
	@mkdir -p bin
	$(CC) -O2 -Wall -Wextra -o $@.$$$$ $(filter %.c,$(FAXLINE)) -lspandsp -ltiff -lm && mv $@.$$$$ $@

test: test-deps build ## all tests: units, integration, end to end
	$(GO) test -p 3 -timeout 13m ./e2e ./... # what takes longest comes first

check: ## format, vet, staticcheck, dead code, module files
	@test -z "$$($(TOOL) gofumpt -l . | tee /dev/stderr)" || (echo 'run: make format' >&2; exit 1)
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	@test -z "$$($(TOOL) deadcode -test ./... | tee /dev/stderr)" || (echo 'remove the functions above, nothing calls them' >&2; exit 1)
	$(GO) mod tidy -diff

format: ## format the Go code
	$(TOOL) gofumpt -w .

race: test-deps build ## all tests with the race detector
	$(GO) test -race -timeout 30m ./...

bench: test-deps ## the benchmarks, with figures
	$(GO) test -run '^$$' -bench . -benchmem ./...

assets: ## bundle the styles and icons again (needs node and npm)
	cd web/page/assets && npm ci --no-audit --no-fund && npm run build

screenshots: test-deps build ## make the pictures of the README again
	$(GO) test ./e2e -run 'TestShop|TestPagesOfABusyShop' -count 1 -screenshots ../docs/images

clean: ## remove what was built
	rm -rf bin

# What Herald needs to run: the programs of a PostgreSQL server, who speaks in calls, and a font for faxes.
RUN_PACKAGES := espeak-ng fonts-wqy-zenhei
deps:
	@missing=; [ -n "$(PGBIN)" ] || command -v postgres >/dev/null || missing=postgresql; \
	for p in $(RUN_PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	[ -z "$$missing" ] || { echo "installing: $$missing"; \
	  $(SUDO) $(APT) update -qq && $(SUDO) $(APT) install -y -qq --no-install-recommends $$missing >/dev/null; }

# What the tests need besides: a browser with Chinese letters, and far ends that we did not write.
TEST_PACKAGES := chromium fonts-noto-cjk curl postfix gammu smstools kannel kannel-extras tshark mariadb-server \
  sip-tester baresip-core kamailio sox multimon-ng \
  gcc libc6-dev libspandsp-dev hylafax-server hylafax-client efax libtiff-tools ghostscript poppler-utils
test-deps: deps
	@missing=; for p in $(TEST_PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	[ -z "$$missing" ] || { echo "installing:$$missing"; \
	  $(SUDO) $(APT) update -qq && $(SUDO) $(APT) install -y -qq --no-install-recommends $$missing >/dev/null; }
	@command -v npm >/dev/null || { echo 'installing: nodejs npm'; \
	  $(SUDO) $(APT) update -qq && $(SUDO) $(APT) install -y -qq --no-install-recommends nodejs npm >/dev/null; }
	@cmp -s e2e/peers/npm/package-lock.json e2e/peers/npm/node_modules/.from || { \
	  (cd e2e/peers/npm && npm ci --no-audit --no-fund --silent && cp package-lock.json node_modules/.from); }
