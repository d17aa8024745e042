/* Truths: virtual times: a second of blocks above 70 % steps down, ten calm seconds step up, one
 * slow block does neither; percentiles are those of a sorted list. */
#include "ae_load_guard.h"

#include "ae_math.h"
#include "ae_test.h"

#include <stdlib.h>

static const double k_block_s = 0.010;
enum { k_per_second = 100 };

/* Every block of `seconds` took `share` of its time; returns how often the level changed. */
static int run(ae_load_guard *guard, double seconds, double share)
{
    int changes = 0;
    for (int b = 0; b < (int)(seconds * k_per_second + 0.5); b++)
        changes += ae_load_guard_update(guard, share * k_block_s);
    return changes;
}

static void test_steps_down_and_up_again(void)
{
    ae_load_guard guard = {0};
    ae_load_guard_open(&guard, k_block_s);
    CHECK(run(&guard, 10.0, 0.5) == 0);
    for (int level = 1; level <= AE_SHED_SUPPRESSOR; level++) {
        CHECK(run(&guard, 0.99, 0.8) == 0);
        CHECK(run(&guard, 0.01, 0.8) == 1);
        CHECK(guard.report.shed_level == level);
    }
    CHECK(run(&guard, 5.0, 2.0) == 0);
    CHECK(guard.report.shed_level == AE_SHED_SUPPRESSOR); /* no deeper */
    CHECK(run(&guard, 30.0, 0.5) == 0);                   /* neither slow nor calm */
    for (int level = AE_SHED_SUPPRESSOR - 1; level >= 0; level--) {
        CHECK(run(&guard, 9.9, 0.3) == 0);
        CHECK(run(&guard, 0.2, 0.3) == 1);
        CHECK(guard.report.shed_level == level);
        run(&guard, 0.01, 0.5); /* the ten seconds start again */
    }
    CHECK(run(&guard, 60.0, 0.01) == 0 && guard.report.shed_level == 0);
}

/* The p99 of a second: one block in a hundred may be slow, two may not. */
static void test_p99_of_a_second(void)
{
    ae_load_guard guard = {0};
    ae_load_guard_open(&guard, k_block_s);
    for (int s = 0; s < 20; s++) {
        CHECK(ae_load_guard_update(&guard, 3.0 * k_block_s) == 0);
        CHECK(run(&guard, 0.99, 0.5) == 0);
    }
    run(&guard, 0.02, 0.9);
    CHECK(run(&guard, 0.98, 0.5) == 1);
    CHECK(guard.report.shed_level == 1);
}

/* A slow block now and then keeps it down: stepping up at once would bring the trouble back. */
static void test_calm_means_every_block(void)
{
    ae_load_guard guard = {0};
    ae_load_guard_open(&guard, k_block_s);
    run(&guard, 1.0, 0.9);
    CHECK(guard.report.shed_level == 1);
    for (int s = 0; s < 4; s++) {
        CHECK(run(&guard, 9.0, 0.1) == 0);
        CHECK(run(&guard, 0.01, 0.4) == 0);
    }
    CHECK(run(&guard, 10.1, 0.1) == 1);
}

/* A plan without nets goes from everything to no meters, and back; a swap may change
 * what is idle. */
static void test_idle_levels_are_passed_over(void)
{
    ae_load_guard guard = {.idle_levels = 1 << AE_SHED_LARGE_NET | 1 << AE_SHED_NETS};
    ae_load_guard_open(&guard, k_block_s);
    CHECK(run(&guard, 1.0, 0.8) == 1 && guard.report.shed_level == AE_SHED_METERS);
    CHECK(run(&guard, 10.1, 0.3) == 1 && guard.report.shed_level == AE_SHED_NOTHING);
    guard.idle_levels = 1 << AE_SHED_LEVELLER | 1 << AE_SHED_SUPPRESSOR;
    for (int level = 1; level <= AE_SHED_METERS; level++)
        CHECK(run(&guard, 1.0, 0.8) == 1 && guard.report.shed_level == level);
    CHECK(run(&guard, 5.0, 0.8) == 0 && guard.report.shed_level == AE_SHED_METERS);
    guard.idle_levels = ~0;
    CHECK(run(&guard, 11.1, 0.3) == 1 && guard.report.shed_level == AE_SHED_NOTHING);
}

/* Whatever a device's block is, one stall of the machine is not our load. */
static void test_one_stall_sheds_nothing(void)
{
    const double blocks_s[] = {0.001, 64.0 / 48000.0, 0.010, 1024.0 / 48000.0, 4096.0 / 48000.0};
    for (int i = 0; i < 5; i++) {
        ae_load_guard guard = {0};
        ae_load_guard_open(&guard, blocks_s[i]);
        int changes = 0;
        const int blocks = (int)(2.0 / blocks_s[i]);
        for (int b = 0; b < blocks; b++)
            changes += ae_load_guard_update(&guard, (b == blocks / 4 ? 5.0 : 0.2) * blocks_s[i]);
        CHECK(changes == 0);
        for (int b = 0; b < 3 * blocks; b++)
            changes += ae_load_guard_update(&guard, 0.75 * blocks_s[i]);
        CHECK(guard.report.shed_level == AE_SHED_SUPPRESSOR); /* and a real one does */
    }
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_percentiles_are_those_of_a_sorted_list(void)
{
    enum { k_count = 20000 };
    static double busy_s[k_count];
    ae_load_guard guard = {0};
    ae_load_guard_open(&guard, k_block_s);
    ae_load_guard_measure(&guard);
    CHECK(guard.report.p50_us == 0.0f && guard.report.max_us == 0.0f);
    uint32_t seed = 3;
    for (int i = 0; i < k_count; i++) {
        busy_s[i] = 0.0005 - 0.0006 * log(0.5 + 0.5 * (double)ae_random(&seed) + 1e-6);
        ae_load_guard_update(&guard, busy_s[i]);
    }
    ae_load_guard_measure(&guard);
    qsort(busy_s, k_count, sizeof *busy_s, ascending);
    CHECK_NEAR(guard.report.p50_us, 1e6 * busy_s[k_count / 2], 10.0); /* a bin is 10 us */
    CHECK_NEAR(guard.report.p99_us, 1e6 * busy_s[k_count * 99 / 100], 10.0);
    CHECK_NEAR(guard.report.max_us, 1e6 * busy_s[k_count - 1], 0.01);
    CHECK(guard.report.block_us == 10000.0f);
}

static void test_extremes(void)
{
    ae_load_guard guard = {0};
    ae_load_guard_open(&guard, k_block_s);
    ae_load_guard_update(&guard, 0.0);
    ae_load_guard_update(&guard, -1e-9); /* a clock that was set back */
    ae_load_guard_update(&guard, 3600.0);
    ae_load_guard_measure(&guard);
    CHECK(guard.report.p50_us >= 0.0f && guard.report.p99_us <= guard.report.max_us);
    run(&guard, 2.0, 0.9);
    const int level = guard.report.shed_level;
    CHECK(level > 0);
    ae_load_guard_open(&guard, 0.005); /* another device: times start anew, the level stays */
    CHECK(guard.report.shed_level == level && guard.report.max_us == 0.0f && guard.count == 0);
}

int main(void)
{
    test_steps_down_and_up_again();
    test_p99_of_a_second();
    test_calm_means_every_block();
    test_idle_levels_are_passed_over();
    test_one_stall_sheds_nothing();
    test_percentiles_are_those_of_a_sorted_list();
    test_extremes();
    return AE_TEST_RESULT();
}
