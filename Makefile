# Two commands are all the set-up there is: `make demo` and `make test`. Each installs what it
# lacks (on Debian and its kin; elsewhere it says what to install).

SHELL := /bin/sh
CARGO := $(shell command -v cargo || echo "$$HOME/.cargo/bin/cargo")
PREFIX ?= /usr/local

.PHONY: demo test lint bench bench-sockets bench-capture bench-trace fuzz bpf bpf-check install uninstall programs clean

## demo: build, and show one conversation from every side
demo: programs
	@./target/release/net-companion

## test: formatting, lints, documentation, and every test
test: lint
	@./.ci/need ss netstat lsof tcpdump nc.openbsd socat python3 nft setpriv tshark strace
	$(CARGO) test --workspace $(TEST_FLAGS)

## lint: what CI refuses, without the tests
lint:
	@./.ci/need rust cc libpcap
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

## bench: how fast, beside the tools replaced: bench-sockets, bench-capture and bench-trace
bench: bench-sockets bench-capture bench-trace

RUN_AS_ROOT = --config 'target."cfg(unix)".runner="$(CURDIR)/.ci/as-root"'

## bench-sockets: beside ss and lsof; for one row `make bench-sockets ARGS="--only port"` (`--help` tells more)
bench-sockets: programs
	@./.ci/need ss lsof python3
	@$(CARGO) bench --quiet --bench sockets $(RUN_AS_ROOT) -- $(ARGS)

## bench-capture: beside tcpdump, tcpflow and tshark, likewise
bench-capture: programs
	@./.ci/need ss tcpdump tcpflow tshark ethtool
	@$(CARGO) bench --quiet --bench capture $(RUN_AS_ROOT) -- $(ARGS)

## bench-trace: beside strace, likewise
bench-trace: programs
	@./.ci/need strace
	@$(CARGO) bench --quiet --bench trace $(RUN_AS_ROOT) -- $(ARGS)

## fuzz: hostile frames, files, segments and notes, a minute each; FUZZ_SECONDS=N for longer
FUZZ_SECONDS ?= 60
fuzz:
	@./.ci/need rust cc g++ libpcap cargo-fuzz
	@for target in decode file streams note; do \
		mkdir -p fuzz/corpus/$$target && cp tests/fixtures/capture-pair.pcap fuzz/corpus/file/ 2>/dev/null; \
		$(CARGO) fuzz run -s none $$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
			-rss_limit_mb=512 -print_final_stats=1 || exit 1; \
	done

## bpf: compile the programs that the kernel runs; the objects are committed
bpf:
	@./.ci/need clang-14 llvm-strip-14 libbpf
	@./.ci/bpf

## bpf-check: that the committed objects are what their sources compile to
bpf-check:
	@./.ci/need clang-14 llvm-strip-14 libbpf
	@./.ci/bpf check

## install: both programs, manual and completions into $(PREFIX) (asks for root itself; after a build, also `sudo make install`)
install:
	@if ./.ci/need rust 2>/dev/null || [ ! -x target/release/inspect ] || [ ! -x target/release/chat ]; then \
		$(MAKE) --no-print-directory programs; fi
	@./.ci/as-root install -D -m 755 target/release/chat "$(DESTDIR)$(PREFIX)/bin/chat"
	@./.ci/as-root install -D -m 755 target/release/inspect "$(DESTDIR)$(PREFIX)/bin/inspect"
	@./.ci/manual install "$(DESTDIR)$(PREFIX)"
	@echo "Installed $(DESTDIR)$(PREFIX)/bin/chat and $(DESTDIR)$(PREFIX)/bin/inspect, with manual and completions"

## uninstall: takes them away again
uninstall:
	@./.ci/manual uninstall "$(DESTDIR)$(PREFIX)"
	@./.ci/as-root rm -f "$(DESTDIR)$(PREFIX)/bin/chat" "$(DESTDIR)$(PREFIX)/bin/inspect"

programs:
	@./.ci/need rust cc libpcap
	@[ -x target/release/inspect ] || echo "Building; the first time takes a few minutes." >&2
	@$(CARGO) build --release --workspace --quiet

clean:
	$(CARGO) clean
