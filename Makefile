# What can be done here: make help

GO      ?= go
GOTEST  ?= $(GO) test
CACHE   := $(CURDIR)/.cache
TOOLS   := $(CACHE)/bin
LDFLAGS := -s -w
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
CADDY       := github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9
PEBBLE      := github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1
VERSITYGW   := github.com/versity/versitygw/cmd/versitygw@v1.8.0
JUPYTER     := jupyter_server==2.21.1 ipykernel==7.4.0 nbformat==5.11.1
HUB_NODE    := configurable-http-proxy@5.3.0 playwright-core@1.65.1
HUB_SCALA   := 3.2.0
HUB         := HUB_VENV=$(CACHE)/venv-hub HUB_VENV_5=$(CACHE)/venv-hub5 HUB_NODE=$(CACHE)/node-hub HUB_KERNELS=$(CACHE)/scala3
AWS         := awscli==1.46.3
SBOM        := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
SETUPTOOLS  := 80.9.0
FUZZTIME ?= 30s
# Of the benchmarks: L has 1.1 GB and takes its time.
COURSES  ?= S,M
RESULTS  ?= $(CACHE)/results
BENCH    = .ci/tables env PEERS_VENV=$(CACHE)/venv-peers AWS_CLI=$(CACHE)/venv-aws/bin/aws VERSITYGW=$(TOOLS)/versitygw COURSES=$(COURSES) ROUNDS=$(ROUNDS) CONTENDERS='$(CONTENDERS)' BENCH_RESULTS=$(RESULTS) BENCH_CACHE=$(CACHE)/bench SATCHEL_BIN=$(CURDIR)/bin $(GO) test -tags e2e -count=1 -timeout 150m -v ./e2e
# What makes and mounts the filesystems of the e2e tests, and the kernel for those that this one lacks.
FILESYSTEMS := linux.uml modprobe ip setpriv fusermount3 bindfs sshfs unionfs mergerfs fuse-overlayfs mkfs.exfat mount.exfat-fuse mkfs.vfat mkfs.ext4 mkfs.btrfs setquota rpcbind rpc.nfsd mount.nfs
# How long the whole system is shaken, and how many students sit in it.
CHAOS_TIME     ?= 10m
CHAOS_STUDENTS ?= 50
CHAOS := AgentKilledAtEachStep|EachCallFails|EachLookFails|OtherFilesystems|FullQuota|CommandsRace
# The students' own user must be able to run it: not one below /root.
PYTHON  ?= $(firstword $(wildcard /usr/bin/python3) python3)

.DEFAULT_GOAL := help
.PHONY: help build try test check fmt vet race e2e chaos-site e2e-docker hub try-hub filesystems peers bench bench-publish bench-storm bench-term plots fuzz chaos cross release release-check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/satchel and bin/satchel-agent (static)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/satchel ./cmd/satchel
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/satchel-agent ./cmd/satchel-agent

try: build ## the whole way on this machine: course, service, student
	bin/satchel try

test: ## the fast tests: needs only Go and git
	$(GOTEST) ./...

check: fmt vet race ## formatting, vet, staticcheck, the fast tests with the race detector

fmt:
	@bad=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$bad" || { echo "run gofmt -w on:"; echo "$$bad"; exit 1; }

vet: $(TOOLS)/staticcheck
	$(GO) vet ./... && $(GO) vet -tags e2e ./...
	$(TOOLS)/staticcheck ./... && $(TOOLS)/staticcheck -tags e2e ./...

race:
	.ci/need gcc
	CGO_ENABLED=1 $(GOTEST) -race ./...

e2e: build $(TOOLS)/versitygw $(CACHE)/venv-jupyter/bin/jupyter-server $(CACHE)/venv-lfs/made ## the whole way with the real servers: OpenSSH, S3, Jupyter, nbformat, strace
	.ci/need sshd strace python3 gcc git-lfs tinyproxy microsocks
	VERSITYGW=$(TOOLS)/versitygw JUPYTER_VENV=$(CACHE)/venv-jupyter LFS_VENV=$(CACHE)/venv-lfs SATCHEL_BIN=$(CURDIR)/bin $(GOTEST) -tags e2e -timeout 45m -skip "^Test(Bench|Chaos|Docker|Peers|Hub|E2EOtherFilesystems|E2EFullQuota)" ./e2e ./store/... ./source ./workdir ./notebook

e2e-docker: $(TOOLS)/caddy $(TOOLS)/pebble ## the images and docker-compose.yml in a Docker engine of their own; writes docs/e2e-docker.md (ONLY=webhook: some checks, and what they stand on)
	.ci/need dockerd docker-compose debootstrap iptables ip npm sshd
	SATCHEL_DOCKER_CACHE=$(CACHE)/docker SATCHEL_TOOLS=$(TOOLS) SATCHEL_DOCKER_REPORT=$(CURDIR)/docs/e2e-docker.md SATCHEL_DOCKER_ONLY='$(ONLY)' $(GO) test -tags e2e -v -count=1 -timeout 90m -run '^TestDocker$$' ./e2e

hub: build $(CACHE)/venv-hub/made $(CACHE)/venv-hub5/made $(CACHE)/node-hub/made $(CACHE)/scala3/made ## real JupyterHubs (6.1 and 5.5): logins, kernels, a browser, an ill service (UPDATE=1 writes the pictures)
	.ci/need sshd java chromium
	$(HUB) SATCHEL_BIN=$(CURDIR)/bin $(GOTEST) -tags e2e -count=1 -timeout 40m -run '^TestHub' ./e2e $(if $(UPDATE),-update)

try-hub: build $(CACHE)/venv-hub/made $(CACHE)/node-hub/made ## a real JupyterHub with service and course, to log in by browser; until Ctrl-C
	@.ci/need git
	@$(PYTHON) deploy/try-hub/run.py

filesystems: build ## the story on FUSE, NFS, vfat, and full quotas (in a kernel of its own where this one has none)
	.ci/need sshd strace python3 gcc $(FILESYSTEMS)
	SATCHEL_BIN=$(CURDIR)/bin $(GOTEST) -tags e2e -timeout 90m -run "^TestE2E(OtherFilesystems|FullQuota)$$" ./e2e

peers: build $(CACHE)/venv-peers/made ## nbgitpuller and Satchel in the same stories (UPDATE=1 writes the tables)
	.ci/need strace
	SATCHEL_BIN=$(CURDIR)/bin $(GOTEST) -tags e2e -count=1 -timeout 40m -run '^TestPeers' ./e2e $(if $(UPDATE),-update)

$(CACHE)/venv-peers/made: e2e/testdata/peers.txt
	.ci/need python3 python3-venv
	rm -rf $(@D) && $(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install -q --disable-pip-version-check -r $< && touch $@

bench: build $(CACHE)/venv-peers/made $(CACHE)/venv-aws/made $(TOOLS)/versitygw ## one login beside git, nbgitpuller, tarballs, rclone, as ratios in one run (COURSES=S,M,L ROUNDS=5 CONTENDERS=Satchel,git)
	.ci/need sshd curl zstd rclone
	@mkdir -p $(CACHE)/bench
	$(BENCH) -run '^TestBench(Login$(if $(CONTENDERS),,|Behind))$$'

bench-publish: build ## a publish: time, bytes, memory (COURSES=S,M,L ROUNDS=5)
	.ci/need sshd
	@mkdir -p $(CACHE)/bench
	$(BENCH) -run '^TestBenchPublish$$'

bench-storm: build ## many at once: 300 logins, 100 first ones, 2,000 event streams, the service's memory (STUDENTS=30 STREAMS=200 STORMS=nothing,u1 ROUNDS=1 measure less)
	.ci/need sshd curl
	@mkdir -p $(CACHE)/bench
	STUDENTS=$(STUDENTS) STREAMS=$(STREAMS) STORMS=$(STORMS) $(BENCH) -run '^TestBenchStorm'

bench-term: build ## a term simulated with the real parts: bytes, processor time, memory (STUDENTS=5000 WEEKS=15 COURSES_TERM=20 SEED=1)
	STUDENTS=$(STUDENTS) WEEKS=$(WEEKS) COURSES_TERM=$(COURSES_TERM) SEED=$(SEED) $(BENCH) -run '^TestBenchTerm$$'

plots: $(CACHE)/venv-plots/made ## docs/performance/*.svg of what the benchmarks left in RESULTS
	$(CACHE)/venv-plots/bin/python e2e/plots/plots.py $(RESULTS) docs/performance

$(CACHE)/venv-lfs/made: source/testdata/lfs-requirements.txt
	.ci/need python3 python3-venv
	rm -rf $(@D) && $(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install -q --disable-pip-version-check -r $< && touch $@

$(CACHE)/venv-aws/made: Makefile
	.ci/need python3 python3-venv
	rm -rf $(@D) && $(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install -q --disable-pip-version-check $(AWS) && touch $@

$(CACHE)/venv-plots/made: e2e/plots/requirements.txt
	.ci/need python3 python3-venv
	rm -rf $(@D) && $(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install -q --disable-pip-version-check -r $< && touch $@

# To make the first interesting input small could take all of the time.
fuzz: ## every fuzz test for FUZZTIME each
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	  echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p || exit 1; done; done

chaos-site: build $(TOOLS)/versitygw ## the whole system while everything breaks by a seeded plan (CHAOS_TIME=10m CHAOS_STUDENTS=50 CHAOS_SEED=1)
	.ci/need sshd
	VERSITYGW=$(TOOLS)/versitygw SATCHEL_BIN=$(CURDIR)/bin CHAOS_TIME=$(CHAOS_TIME) CHAOS_STUDENTS=$(CHAOS_STUDENTS) CHAOS_REPORT=$(RESULTS)/chaos.txt $(GOTEST) -tags e2e -v -timeout 24h -run '^TestChaosWholeSystem$$' ./e2e
	@cat $(RESULTS)/chaos.txt

chaos: build $(TOOLS)/versitygw $(CACHE)/venv-jupyter/bin/jupyter-server ## ten thousand random histories, ten thousand interleavings of syncers, an hour of make chaos-site, then each fault at each system call (four hours)
	JUPYTER_VENV=$(CACHE)/venv-jupyter $(GOTEST) -tags e2e ./workdir -run TestModel -v -model.histories 10000 -model.from $${SEED:-$$(date +%s)} -timeout 60m
	$(GOTEST) ./syncer -run TestModelOfRaces -v -model.interleavings 10000 -model.from $${SEED:-$$(date +%s)} -timeout 60m
	$(MAKE) chaos-site CHAOS_TIME=1h
	.ci/need sshd $(FILESYSTEMS)
	SATCHEL_FULL=1 VERSITYGW=$(TOOLS)/versitygw SATCHEL_BIN=$(CURDIR)/bin $(GOTEST) -tags e2e -v -timeout 6h -run '$(CHAOS)' ./e2e

cross: ## that everything builds for the platforms of a release
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 $(GO) build ./... && CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build ./...
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/satchel
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) build -o /dev/null ./cmd/satchel

release: $(TOOLS)/cyclonedx-gomod ## dist/: programs for Linux (lint and try for macOS, lint for Windows), the hub's wheel, checksums, SBOMs
	.ci/need python3-venv
	GO="$(GO)" SBOM=$(TOOLS)/cyclonedx-gomod SETUPTOOLS=$(SETUPTOOLS) PYTHON=$(PYTHON) .ci/release dist

release-check: $(TOOLS)/cyclonedx-gomod ## two builds of the last commit on two paths are the same bytes (FULL=1: for all platforms)
	.ci/need python3-venv
	GO="$(GO)" SBOM=$(TOOLS)/cyclonedx-gomod SETUPTOOLS=$(SETUPTOOLS) PYTHON=$(PYTHON) .ci/release-check

$(TOOLS)/cyclonedx-gomod:
	GOBIN=$(TOOLS) $(GO) install -trimpath $(SBOM)

$(TOOLS)/staticcheck:
	GOBIN=$(TOOLS) $(GO) install $(STATICCHECK)

$(TOOLS)/caddy:
	GOBIN=$(TOOLS) $(GO) install $(CADDY)

$(TOOLS)/pebble:
	GOBIN=$(TOOLS) $(GO) install $(PEBBLE) $(subst /pebble@,/pebble-challtestsrv@,$(PEBBLE))

$(TOOLS)/versitygw:
	GOBIN=$(TOOLS) $(GO) install $(VERSITYGW)

# By the system's Python, for the student's user runs it too.
$(CACHE)/venv-jupyter/bin/jupyter-server:
	.ci/need python3-venv
	/usr/bin/python3 -m venv $(CACHE)/venv-jupyter
	$(CACHE)/venv-jupyter/bin/pip install -q $(JUPYTER)

# By the system's Python, for the students' user runs them too.
$(CACHE)/venv-hub/made: e2e/testdata/hub/requirements-6.txt
$(CACHE)/venv-hub5/made: e2e/testdata/hub/requirements-5.txt
$(CACHE)/venv-hub/made $(CACHE)/venv-hub5/made:
	.ci/need python3-venv
	rm -rf $(@D) && $(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install -q --disable-pip-version-check -r $< && touch $@

$(CACHE)/node-hub/made: Makefile
	.ci/need node npm
	mkdir -p $(@D) && npm install --silent --no-fund --no-audit --no-save --prefix $(@D) $(HUB_NODE) && touch $@

$(CACHE)/scala3/made: e2e/testdata/hub/scala3_kernel_install.sh e2e/testdata/hub/scala3_kernel.py e2e/testdata/hub/Scala3Loop.java
	.ci/need mvn javac
	$< $(HUB_SCALA) $(@D) $(CACHE)/venv-hub/bin/python && touch $@

clean: ## remove what was built
	rm -rf bin dist $(CACHE)
