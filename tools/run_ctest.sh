#!/bin/sh
# Run the C tests of a preset.
#
# The thread sanitizer of GCC 12 refuses to start where the kernel randomises addresses over more bits
# than it was written for (vm.mmap_rnd_bits above 28: "unexpected memory mapping"). Then, and only
# then, the tests run again with randomisation off for this process tree, and a line says so.
set -u
preset=${1:?usage: tools/run_ctest.sh PRESET}
output=$(mktemp)
trap 'rm -f "$output"' EXIT
if ctest --preset "$preset" --no-tests=error >"$output" 2>&1; then
    status=0
elif grep -q 'ThreadSanitizer: unexpected memory mapping' "$output"; then
    echo "note: address randomisation is too wide for this thread sanitizer; running under setarch -R"
    setarch "$(uname -m)" -R ctest --preset "$preset" --no-tests=error >"$output" 2>&1
    status=$?
else
    status=1
fi
cat "$output"
exit $status
