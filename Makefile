# The front door. Meson does the work, in $(BUILD); see CONTRIBUTING.md.
#
#   make                    build the library, the examples, and what else its packages are here for
#   make demo               solve real linear programs; ARGS are passed on
#   make check              every test, short forms;   make check-long: the long forms
#   make bench              kin beside its peers;      ONLY=CASE: one case
#   make install            to PREFIX (/usr/local), below DESTDIR
#   make format, make clean
#
# Each installs the Debian packages that it needs first (scripts/packages).

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
ARGS ?=
ONLY ?=
MESON ?= meson
NINJA ?= ninja

# A feature's packages may have come after the first set-up, so each feature is asked for by name, once.
with = test -e $(BUILD)/.with-$(1) || \
       { $(MESON) setup --reconfigure $(BUILD) -D$(1)=enabled && touch $(BUILD)/.with-$(1); }

.PHONY: all packages set-up demo check check-long bench install format clean

all: set-up
	$(NINJA) -C $(BUILD)

packages:
	@scripts/packages build

set-up: packages
	@test -e $(BUILD)/build.ninja || { \
	    $(MESON) setup $(BUILD) --prefix=$(PREFIX) && echo $(PREFIX) >$(BUILD)/.prefix; }

demo: set-up
	@scripts/packages demo
	@$(call with,demo)
	@$(NINJA) -C $(BUILD) demo/kin-demo
	$(BUILD)/demo/kin-demo $(ARGS)

check: packages
	@scripts/packages check demo bench
	@scripts/check $(BUILD)

check-long: packages
	@scripts/packages check demo bench
	@scripts/check --long $(BUILD)

bench: set-up
	@scripts/packages bench
	@$(call with,bench)
	@$(NINJA) -C $(BUILD)
	BUILD=$(BUILD) bench/run $(ONLY)

install: set-up
	@scripts/packages install
	@test "$$(cat $(BUILD)/.prefix)" = $(PREFIX) || { \
	    $(MESON) configure $(BUILD) -Dprefix=$(PREFIX) && echo $(PREFIX) >$(BUILD)/.prefix; }
	@$(NINJA) -C $(BUILD) library
	scripts/install $(BUILD) "$(PREFIX)" "$(DESTDIR)"

format: packages
	@scripts/packages check
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan
