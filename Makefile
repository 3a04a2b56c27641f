# The front door. Meson does the work, in $(BUILD); see CONTRIBUTING.md.
#
#   make                    build the library, the examples, and what else its packages are here for
#   make demo               solve real linear programs; ARGS are passed on
#   make check              every test, short forms;   make check-long: the long forms too
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

# Configure the build once, and once more when the prefix is another.
set_up = test -e $(BUILD)/build.ninja || \
         { $(MESON) setup $(BUILD) --prefix=$(PREFIX) && echo $(PREFIX) >$(BUILD)/.prefix; }
set_prefix = test "$$(cat $(BUILD)/.prefix)" = $(PREFIX) || \
             { $(MESON) configure $(BUILD) -Dprefix=$(PREFIX) && echo $(PREFIX) >$(BUILD)/.prefix; }
# A feature's packages may have come after the first set-up, so each feature is asked for by name, once.
with = test -e $(BUILD)/.with-$(1) || \
       { $(MESON) setup --reconfigure $(BUILD) -D$(1)=enabled && touch $(BUILD)/.with-$(1); }

.PHONY: all demo check check-long bench install format clean

all:
	@scripts/packages build
	@$(set_up)
	$(NINJA) -C $(BUILD)

demo:
	@scripts/packages build demo
	@$(set_up)
	@$(call with,demo)
	@$(NINJA) -C $(BUILD) library demo/kin-demo
	$(BUILD)/demo/kin-demo --report $(BUILD)/kin-demo.html $(ARGS)

check:
	@scripts/packages build check demo bench
	@$(set_up)
	@scripts/check $(BUILD)

check-long:
	@scripts/packages build check demo bench
	@$(set_up)
	@scripts/check --long $(BUILD)

bench:
	@scripts/packages build bench
	@$(set_up)
	@$(call with,bench)
	@$(NINJA) -C $(BUILD)
	BUILD=$(BUILD) bench/run $(ONLY)

install:
	@scripts/packages build install
	@$(set_up)
	@$(set_prefix)
	@$(NINJA) -C $(BUILD) library
	scripts/install $(BUILD) "$(PREFIX)" "$(DESTDIR)"

format:
	@scripts/packages check
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-clang $(BUILD)-tsan
