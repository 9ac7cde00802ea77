# Splitring's build: one file, one pass. `make help` lists the targets.
#
#   SAN=address|thread   a sanitizer build, in a folder of its own
#   BUILD=DIR            where everything goes (build/ by default)
#   V=1                  show the commands

SAN ?=
BUILD ?= build
ROOT := $(BUILD)/$(if $(SAN),$(SAN),release)
CXX := $(if $(shell command -v ccache),ccache )g++
Q := $(if $(V),,@)

.DEFAULT_GOAL := all
.SECONDARY:
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
MAKEFLAGS += --no-print-directory
ifneq ($(CI),)
MAKEFLAGS += --output-sync=target
endif

# ---- the rooms, and what each may include (design: a test reads the includes) ---------------------
ROOMS := base ring grant xenbus blkimage backend frontend fs kv
USES_base :=
USES_ring := base
USES_grant := base
USES_xenbus := grant base
USES_blkimage := base
USES_backend := ring grant xenbus blkimage base
USES_frontend := ring grant xenbus blkimage base
USES_fs := blkimage base
USES_kv := fs blkimage base
USES_tools := kv backend frontend fs ring xenbus grant blkimage base

LDLIBS_grant := -lxengnttab -lxenevtchn
LDLIBS_xenbus := -lxenstore
LDLIBS_blkimage := -luring -lzstd -lz
LDLIBS_kv := -lcrypto
LDLIBS_base := -lspdlog -lfmt

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Werror
CXXFLAGS := -std=c++20 -O2 -g1 -pthread -I. -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL $(WARNINGS)
LDFLAGS := -pthread
ifeq ($(SAN),address)
CXXFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# g++ 12 sees uninitialised reads in instrumented Boost that are none, and does not fold the
# constants whose conversion Xen's macros leave to the compiler.
CXXFLAGS += -Wno-maybe-uninitialized -Wno-conversion
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(SAN),thread)
CXXFLAGS += -fsanitize=thread -Wno-tsan -Wno-conversion
LDFLAGS += -fsanitize=thread
else ifneq ($(SAN),)
$(error SAN=$(SAN): choose address or thread)
endif
ifneq ($(shell command -v mold),)
LDFLAGS += -fuse-ld=mold
endif

sources = $(sort $(shell find $(1) -name '*.cc' 2>/dev/null))
objects = $(patsubst %.cc,$(ROOT)/%.o,$(1))

# ---- room libraries ------------------------------------------------------------------------------
define room
$(ROOT)/lib$(1).a: $$(call objects,$$(call sources,$(1)))
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room,$(r))))

# What is not on a data path need not be slow to compile.
$(ROOT)/tests/%.o $(ROOT)/tools/splitring/%.o $(ROOT)/tools/splitringd/%.o: CXXFLAGS += -O1

$(ROOT)/%.o: %.cc | packages
	@mkdir -p $(@D)
	@echo "  compile  $<"
	$(Q)$(CXX) $(CXXFLAGS) $(CXXFLAGS_$<) -MMD -MP -c -o $@ $<

libraries = $(foreach r,$(1),$(if $(call sources,$(r)),$(ROOT)/lib$(r).a))
system_libraries = $(foreach r,$(1),$(LDLIBS_$(r)))

# ---- programs ------------------------------------------------------------------------------------
PROGRAMS := $(foreach d,$(wildcard tools/*/main.cc),$(patsubst tools/%/main.cc,%,$(d)))
LDLIBS_program_splitring := -lfuse3
LDLIBS_program_splitringd := -lprometheus-cpp-core
LDLIBS_kiosk := -lprometheus-cpp-core -lssl -lcrypto -lxxhash -lzstd -lz
LDLIBS_program_kiosk := $(LDLIBS_kiosk)

# The kiosk's own pages, compiled in: tools/kiosk/NAME becomes the variable kiosk_NAME.
KIOSK_PAGES := $(foreach p,live builtin,$(ROOT)/tools/kiosk/kiosk_$(p).o)
OBJECTS_program_kiosk := $(KIOSK_PAGES)
$(KIOSK_PAGES): $(ROOT)/tools/kiosk/kiosk_%.o: $(ROOT)/splitring $(sort $(wildcard tools/kiosk/live/* tools/kiosk/builtin/*))
	@mkdir -p $(@D)
	@echo "  crunch   tools/kiosk/$*"
	$(Q)$(ROOT)/splitring crunch tools/kiosk/$* -o $@

# What several programs share lives in tools/common.
define program
$(ROOT)/$(1): $$(call objects,$$(call sources,tools/$(1) tools/common)) $$(OBJECTS_program_$(1)) \
    $$(call libraries,$$(USES_tools))
	@echo "  link     $$@"
	$$(Q)$$(CXX) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS_program_$(1)) $$(call system_libraries,$$(USES_tools))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# ---- tests: one binary a room ----------------------------------------------------------------------
# Helper sources of another room that a room's tests use too.
TEST_USES_backend := frontend  # the other end of a live ring
TEST_SUPPORT_backend := tests/support/xenbus/emulated_machine_thread.cc \
  tests/support/grant/allocation_counter.cc
TEST_SUPPORT_frontend := tests/support/xenbus/emulated_machine_thread.cc \
  tests/support/grant/allocation_counter.cc
TEST_ROOMS := $(foreach r,$(ROOMS) tools,$(if $(call sources,tests/$(r)),$(r)))
TEST_SUPPORT_blkimage := tests/support/fs/test_disk.cc tests/support/fs/packed_builder.cc
TEST_SUPPORT_kv := tests/support/fs tests/support/backend/lock_counter.cc \
  tests/support/grant/allocation_counter.cc tests/support/blkimage/scratch_file.cc
TEST_SUPPORT_tools := tests/support/fs tests/support/xenbus/emulated_machine_thread.cc
LDLIBS_test_tools := $(LDLIBS_kiosk)
LDLIBS_test_fs := -lrapidcheck
TEST_PROGRAMS := tests/ring/exhaustive_validator.cc  # with a main() of their own
define room_tests
$(ROOT)/tests/$(1)_test: $$(call objects,$$(filter-out $(TEST_PROGRAMS),\
      $$(call sources,tests/$(1) tests/support/$(1) $$(TEST_SUPPORT_$(1))))) \
    $$(if $$(filter tools,$(1)),$$(call objects,$$(filter-out %/main.cc,\
      $$(call sources,tools/common tools/kiosk))) $(KIOSK_PAGES)) \
    $$(call libraries,$$(filter-out tools,$(1)) $$(USES_$(1)) $$(TEST_USES_$(1)))
	@echo "  link     $$@"
	@mkdir -p $$(@D)
	$$(Q)$$(CXX) $$(LDFLAGS) -o $$@ $$^ -lgtest -lgtest_main $$(LDLIBS_test_$(1)) \
	  $$(call system_libraries,$(1) $$(USES_$(1)) $$(TEST_USES_$(1)))
endef
$(foreach r,$(TEST_ROOMS),$(eval $(call room_tests,$(r))))
TESTS := $(foreach r,$(TEST_ROOMS),$(ROOT)/tests/$(r)_test)

# Programs that tests run as processes of their own.
LDLIBS_test_tool_disk_conformance := -lgtest
LDLIBS_test_tool_hostile_guest := -lgtest
LDLIBS_test_tool_domain_times := -lxenlight
TEST_SUPPORT_tool_hostile_guest := tests/support/backend/hand_guest.cc \
  tests/support/backend/hand_frontend.cc
define test_tool
$(ROOT)/tests/$(1): $$(call objects,tests/programs/$(1).cc $$(TEST_SUPPORT_tool_$(1))) \
    $$(call libraries,$$(USES_tools))
	@echo "  link     $$@"
	@mkdir -p $$(@D)
	$$(Q)$$(CXX) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS_test_tool_$(1)) \
	  $$(call system_libraries,$$(USES_tools))
endef
TEST_TOOLS := $(patsubst tests/programs/%.cc,%,$(wildcard tests/programs/*.cc))
$(foreach t,$(TEST_TOOLS),$(eval $(call test_tool,$(t))))
TESTS += $(addprefix $(ROOT)/tests/,$(TEST_TOOLS))

$(ROOT)/tests/%.so: tests/xen/%.cc | packages
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -fPIC -shared -o $@ $< -ldl

# ---- loads of the benchmark ------------------------------------------------------------------------
BENCH_LOADS := $(patsubst tools/bench/%.cc,$(ROOT)/bench/%,$(wildcard tools/bench/*.cc))
$(ROOT)/bench/%: $(ROOT)/tools/bench/%.o
	@mkdir -p $(@D)
	@echo "  link     $@"
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(LDLIBS_bench_$*)
$(ROOT)/bench/tar_load $(ROOT)/bench/fat_load: $(call libraries,fs blkimage base)
$(ROOT)/bench/kv_load: $(call objects,$(call sources,tools/bench/kv tools/common)) \
  $(call libraries,$(USES_tools))
$(ROOT)/bench/kv_big_load: $(call objects,$(call sources,tools/common)) $(call libraries,$(USES_tools))
LDLIBS_bench_tar_load := $(call system_libraries,fs blkimage base)
LDLIBS_bench_fat_load := $(LDLIBS_bench_tar_load)
LDLIBS_bench_kv_load := -llmdb -lsqlite3 -lleveldb -lrocksdb $(call system_libraries,$(USES_tools))
LDLIBS_bench_kv_big_load := $(call system_libraries,$(USES_tools))

# ---- fuzzers: each tests/fuzz/NAME_fuzz.cc with every room, built by clang --------------------------
SECONDS ?= 20
FUZZ := $(BUILD)/fuzz
FUZZERS := $(patsubst tests/fuzz/%_fuzz.cc,%,$(wildcard tests/fuzz/*_fuzz.cc))
FUZZ_CXX := $(if $(shell command -v ccache),ccache )clang++-14
FUZZ_SANITIZERS := address,undefined
FUZZ_FLAGS := -std=c++20 -O1 -g1 -pthread -I. -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL \
  -fno-sanitize-recover=all -fno-omit-frame-pointer
fuzz_objects = $(patsubst %.cc,$(FUZZ)/%.o,$(call sources,$(1)))

$(FUZZ)/%.o: %.cc | packages-fuzz
	@mkdir -p $(@D)
	@echo "  fuzzable $<"
	$(Q)$(FUZZ_CXX) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,$(FUZZ_SANITIZERS) -MMD -MP -c -o $@ $<
# The tests' helpers come first: what they use lies in the rooms.
$(FUZZ)/libsupport.a: $(call fuzz_objects,tests/support)
$(FUZZ)/librooms.a: $(call fuzz_objects,$(ROOMS))
# What parses of the kiosk: the rest of it is no library of a fuzzer's.
FUZZ_KIOSK := $(addprefix tools/kiosk/,http/head_parser.cc http/body_decoder.cc http/http_text.cc http/web_socket.cc \
  http/response.cc http/html_page.cc content/representation.cc)
$(FUZZ)/libkiosk.a: $(FUZZ_KIOSK:%.cc=$(FUZZ)/%.o)
$(FUZZ)/libsupport.a $(FUZZ)/librooms.a $(FUZZ)/libkiosk.a:
	@rm -f $@
	$(Q)ar rcs $@ $^
$(FUZZ)/%_fuzz: $(FUZZ)/tests/fuzz/%_fuzz.o $(FUZZ)/libsupport.a $(FUZZ)/libkiosk.a \
    $(FUZZ)/librooms.a
	@echo "  link     $@"
	$(Q)$(FUZZ_CXX) -pthread -fsanitize=fuzzer,$(FUZZ_SANITIZERS) -o $@ $^ -lgtest \
	  $(call system_libraries,$(ROOMS))

# ---- clang-tidy: a stamp for each source, so that only what changed is read again -----------------
LINT := $(BUILD)/lint
LINT_FLAGS := -std=c++20 -I. -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL
$(LINT)/%.tidy: %.cc .clang-tidy | packages-lint
	@mkdir -p $(@D)
	@echo "  tidy     $<"
	$(Q)clang++-14 $(LINT_FLAGS) -MM -MP -MT $@ -MF $(LINT)/$*.d $<
	$(Q)clang-tidy-14 --quiet $< -- $(LINT_FLAGS) 2>$@.log || { cat $@.log; exit 1; }
	@rm $@.log && touch $@

-include $(shell find $(ROOT) $(FUZZ) $(LINT) -name '*.d' 2>/dev/null)

# ---- man pages: tools/NAME/NAME.SECTION.scd -----------------------------------------------------
MAN_SOURCES := $(wildcard tools/*/*.scd)
man_page = $(ROOT)/man/$(basename $(notdir $(1)))
define man
$(call man_page,$(1)): $(1) | packages
	@mkdir -p $$(@D)
	$$(Q)scdoc < $$< > $$@ || { rm -f $$@; exit 1; }
endef
$(foreach s,$(MAN_SOURCES),$(eval $(call man,$(s))))

# ---- targets ---------------------------------------------------------------------------------------
.PHONY: all help packages test test-xen bench-xen bench check-exhaustive check-power-cuts check-fat \
  check-fat-model lint lint-quick fuzz demo live-picture man install clean

## all: build the programs and libraries
all: $(call libraries,$(ROOMS)) $(foreach p,$(PROGRAMS),$(ROOT)/$(p))

## help: list the targets
help:
	@sed -n 's/^## \([a-z0-9-]*\): /  make \1|/p' $(MAKEFILE_LIST) | column -t -s '|'

## packages: install what is missing from Debian's packages (packages.txt)
packages:
	@tools/dev/install-packages.sh build

packages-%:
	@tools/dev/install-packages.sh build $*

## test: build and run every test; the last line is "N passed, N failed"
test: packages-test
	$(Q)$(MAKE) build-tests
	@tests/run.py --root $(ROOT)

.PHONY: build-tests
build-tests: all $(TESTS)

XEN_WORK := $(BUILD)/xen
XEN_TOOLS := $(addprefix $(ROOT)/tests/,verified_load disk_conformance hostile_guest domain_times \
  choose_domid.so)
XEN_LAB = --installed $(XEN_WORK)/installed $(XEN_TOOLS:%=--tool %) --work $(XEN_WORK) \
  $(PATIENCE:%=--patience %)
.PHONY: xen-lab
xen-lab: packages-xen
	$(Q)$(MAKE) all $(XEN_TOOLS)
	$(Q)rm -rf $(XEN_WORK)/installed && $(MAKE) install DESTDIR=$(abspath $(XEN_WORK))/installed \
	  PREFIX=/usr >/dev/null

## test-xen: the programs on a real Xen, booted under software emulation; QUICK=1, ONLY=TEXT, PATIENCE=N
# Without stock xl, whose limits of 10 and 40 s no option moves: a machine can be too busy for them.
XEN_QUICK := 10-attach 30-frontend 43-upgrade
test-xen: xen-lab
	@tests/xen/lab.py $(XEN_LAB) --junit $(XEN_WORK)/junit.xml \
	  $(patsubst %,--only %,$(ONLY) $(if $(QUICK),$(XEN_QUICK)))

## bench-xen: xen-blkback, QEMU's qdisk and Splitring in one boot of Xen, in executed instructions
bench-xen: xen-lab
	@tests/xen/bench.py $(XEN_LAB) --out $(BUILD)/bench-xen.json

## bench: Splitring and its peers on the same work, in one run (minutes; wants a quiet machine)
bench: packages-bench
	$(Q)$(MAKE) all $(BENCH_LOADS)
	@tools/bench/bench.py --root $(ROOT) --out $(BUILD)/bench.json
	@tools/bench/http_bench.py --root $(ROOT) --out $(BUILD)/bench-http.json
	@tools/bench/mount_bench.py --root $(ROOT) --out $(BUILD)/bench-mount.json
	@tools/bench/kv_bench.py --root $(ROOT) --out $(BUILD)/bench-kv.json

## lint: clang-format, clang-tidy and who includes whom
lint: lint-quick
	$(Q)$(MAKE) $$(git ls-files '*.cc' | grep -v '^tools/bench/kv/peers' | sed 's|\(.*\)\.cc$$|$(LINT)/\1.tidy|')

## lint-quick: the same without clang-tidy (seconds)
lint-quick: packages-lint
	@git ls-files '*.h' '*.cc' | xargs clang-format-14 --dry-run -Werror
	@tests/house/include_rule_test.py
	@tests/house/try_rule_test.py

## fuzz: every fuzzer for SECONDS (20) each, from its kept seeds
fuzz: packages-fuzz
	$(Q)$(MAKE) $(FUZZERS:%=$(FUZZ)/%_fuzz)
	@tests/fuzz/run.sh $(FUZZ) $(SECONDS) $(FUZZERS)

## check-exhaustive: the request parser against its oracle, all 2^32 combinations (minutes)
check-exhaustive: $(ROOT)/tests/exhaustive_validator
	@$<
$(ROOT)/tests/exhaustive_validator: \
    $(call objects,tests/ring/exhaustive_validator.cc tests/support/ring/validator_oracle.cc)
	@mkdir -p $(@D)
	@echo "  link     $@"
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^

## check-fat: 100,000 images of FAT and exFAT volumes after a power cut, each shown to fsck too (15 minutes)
check-fat: $(ROOT)/tests/fs_test
	@SPLITRING_FAT_CUTS=100000 $< --gtest_filter='*FatPowerCut*' --gtest_brief=1

## check-power-cuts: the tree store after 1,000,000 power cuts (minutes); SPLITRING_SEED=N begins elsewhere
check-power-cuts: $(ROOT)/tests/kv_test
	@SPLITRING_POWER_CUT_STATES=1000000 $< --gtest_filter='TreeStorePowerCut.*'

## check-fat-model: a million random operations on FAT volumes against a model and fsck.fat (minutes)
check-fat-model: $(ROOT)/tests/fs_test
	@SPLITRING_FAT_OPERATIONS=1000000 $< --gtest_filter='FatModel*' --gtest_brief=1

## demo: serve a documentation tree over the ring; CHECK=1 fetches and compares it, PORT=N listens there
demo: all
	@tools/dev/demo.sh --root $(ROOT)

## live-picture: draw docs/live.svg from the kiosk's real page under load, and PNGs of it below the build folder
live-picture: packages-test
	$(Q)$(MAKE) all
	@SPLITRING_BUILD=$(ROOT) SPLITRING_PICTURES=$(BUILD) tests/tools/kiosk_live_test.py \
	  Live.test_load_shows_in_plots_and_on_the_path
	cp $(BUILD)/live.svg docs/live.svg

## man: make the man pages
man: $(foreach s,$(MAN_SOURCES),$(call man_page,$(s)))

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
LIBDIR := $(if $(filter /usr,$(PREFIX)),/lib,$(PREFIX)/lib)
## install: programs, man pages, completion, unit, udev rule, Xen's script; DESTDIR, PREFIX (/usr/local)
install: all man
	install -D -t $(DESTDIR)$(PREFIX)/bin $(foreach p,$(PROGRAMS),$(ROOT)/$(p))
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(ROOT)/man/*.1
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 $(ROOT)/man/*.8
	install -D -m 644 tools/splitring/completion.bash \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions/splitring
	ln -sf splitring $(DESTDIR)$(PREFIX)/share/bash-completion/completions/splitringd
	install -D -t $(DESTDIR)$(SYSCONFDIR)/xen/scripts tools/hotplug/block-splitring
	install -d $(DESTDIR)$(LIBDIR)/systemd/system $(DESTDIR)$(SYSCONFDIR)/default
	sed 's|@BINDIR@|$(PREFIX)/bin|' tools/hotplug/splitringd.service \
	  >$(DESTDIR)$(LIBDIR)/systemd/system/splitringd.service
	[ -e $(DESTDIR)$(SYSCONFDIR)/default/splitringd ] || install -m 644 \
	  tools/hotplug/splitringd.default $(DESTDIR)$(SYSCONFDIR)/default/splitringd
	install -D -m 644 -t $(DESTDIR)$(LIBDIR)/udev/rules.d tools/hotplug/90-splitring.rules
	install -D -m 644 tools/hotplug/splitring.sysusers \
	  $(DESTDIR)$(PREFIX)/lib/sysusers.d/splitring.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/splitring/examples tools/hotplug/guest.cfg

## clean: remove everything that was built
clean:
	$(Q)rm -rf $(BUILD)
