/* Truths: a step-less graph is a wire; latency is the sum
 * of the kernels'; cleaning is counted; wrong plans are refused; commands arrive; nothing is
 * allocated (the core's counter and a hook on the C library's allocator); the floating-point mode
 * is kept. Two graphs that share kernels give what two sets of kernels give. */
#include "ae_chain.h"
#include "ae_malloc_hook.h"
#include "ae_math.h"
#include "ae_test.h"

enum { k_rate = 48000, k_block = 480 };

static void make_noise(float *to, int count, float level, uint32_t *seed)
{
    for (int n = 0; n < count; n++) to[n] = level * ae_random(seed);
}

static void test_wire_cleans_and_counts(void)
{
    const int channels[] = {1}, buses[] = {0};
    const ae_graph_config config = {k_rate, 1, channels, 1, buses, 1, buses, 0, NULL};
    ae_graph *graph;
    CHECK(ae_graph_create(&graph, &config) == AE_OK);
    float x[k_block], y[k_block];
    uint32_t seed = 7;
    make_noise(x, k_block, 0.5f, &seed);
    x[3] = NAN;
    x[4] = INFINITY;
    x[5] = -INFINITY;
    x[6] = 3e38f;
    x[7] = -64.0f;
    const float *in[] = {x};
    float *out[] = {y};
    ae_graph_process(graph, in, out);
    for (int n = 0; n < k_block; n++) CHECK(y[n] == (n >= 3 && n <= 6 ? 0.0f : x[n]));
    ae_graph_report report;
    ae_graph_read(graph, &report);
    CHECK(report.non_finite_count == 4 && report.frames == k_block);
    CHECK(report.input_peak == 64.0f && report.output_peak == 64.0f);
    const float *missing[] = {NULL};
    ae_graph_process(graph, missing, out);
    CHECK(ae_energy(y, k_block) == 0.0f);
    CHECK(ae_graph_latency_frames(graph) == 0);
    ae_graph_destroy(graph);
    ae_graph_destroy(NULL);
}

static void test_wrong_plans_are_refused(void)
{
    int channels[] = {1, 2}, inputs[] = {0}, outputs[] = {0};
    ae_limiter *limiter;
    const ae_limiter_config limiter_config = ae_limiter_default_config(k_rate);
    CHECK(ae_limiter_create(&limiter, &limiter_config) == AE_OK);
    ae_step step = {AE_STEP_LIMITER, 0, -1, 0, -1, {limiter}};
    ae_graph_config config = {k_rate, 2, channels, 1, inputs, 1, outputs, 1, &step};
    ae_graph *graph;
    CHECK(ae_graph_create(&graph, &config) == AE_OK);
    ae_graph_destroy(graph);
#define REFUSED(change, restore)                                                                   \
    do {                                                                                           \
        change;                                                                                    \
        CHECK(ae_graph_create(&graph, &config) == AE_ERROR_ARGUMENT && graph == NULL);             \
        restore;                                                                                   \
    } while (0)
    REFUSED(config.sample_rate_hz = 7999, config.sample_rate_hz = k_rate);
    REFUSED(step.kind = 99, step.kind = AE_STEP_LIMITER);
    REFUSED(step.output_bus = 1, step.output_bus = 0); /* one channel into two */
    REFUSED(step.output_bus = 2, step.output_bus = 0);
    REFUSED(step.input_bus = -1, step.input_bus = 0);
    REFUSED(step.nodes[0] = NULL, step.nodes[0] = limiter);
    REFUSED(step.source_step = 0, step.source_step = -1); /* itself */
    REFUSED(channels[1] = 9, channels[1] = 2);
    REFUSED(inputs[0] = 5, inputs[0] = 0);
    REFUSED(step.kind = AE_STEP_LOUDNESS, step.kind = AE_STEP_LIMITER); /* a meter writes nothing */
    REFUSED(config.output_count = 0, config.output_count = 1);
#undef REFUSED
    CHECK(ae_graph_create(&graph, NULL) == AE_ERROR_ARGUMENT);
    ae_limiter_destroy(limiter);
}

static void run_blocks(ae_chain *chain, int blocks, uint32_t *seed, float *last)
{
    static float rows[AE_MAX_CHANNELS][960], far[960], outs[AE_MAX_CHANNELS][960];
    const float *in[AE_MAX_CHANNELS + 1];
    float *out[AE_MAX_CHANNELS];
    const int block = ae_graph_block_frames(chain->graph);
    for (int b = 0; b < blocks; b++) {
        make_noise(far, block, 0.3f, seed);
        for (int c = 0; c < chain->channels; c++) {
            make_noise(rows[c], block, 0.1f, seed);
            for (int n = 0; n < block; n++) rows[c][n] += 0.3f * far[n];
            in[c] = rows[c];
            out[c] = outs[c];
        }
        in[chain->channels] = far;
        ae_graph_process(chain->graph, in, out);
    }
    if (last != NULL) ae_copy(last, outs[0], block);
}

static void test_chain_allocates_nothing_and_keeps_the_mode(void)
{
    ae_chain chain;
    CHECK(ae_chain_create(&chain, k_rate, 2) == 0);
    uint32_t seed = 1;
    const uint64_t counted = ae_allocation_count();
    const long hooked = library_allocations;
    run_blocks(&chain, 300, &seed, NULL);
    CHECK(ae_allocation_count() == counted);
    CHECK(library_allocations == hooked);
    CHECK(!HOOKED || hooked > 0); /* the hook does see allocations */
    volatile float tiny = 1e-39f;
    volatile float kept = tiny * 0.5f;
    CHECK(kept != 0.0f);
    CHECK(ae_graph_latency_frames(chain.graph) == ae_suppressor_latency_frames(chain.suppressor) +
                                                      ae_limiter_latency_frames(chain.limiter));
    ae_chain_destroy(&chain);
}

static void test_reset_equals_new(void)
{
    ae_chain used, fresh;
    CHECK(ae_chain_create(&used, 16000, 1) == 0);
    CHECK(ae_chain_create(&fresh, 16000, 1) == 0);
    uint32_t seed = 11;
    run_blocks(&used, 150, &seed, NULL);
    ae_graph_reset(used.graph);
    float a[960] = {0}, b[960] = {0};
    seed = 5;
    run_blocks(&used, 150, &seed, a);
    seed = 5;
    run_blocks(&fresh, 150, &seed, b);
    CHECK(memcmp(a, b, sizeof a) == 0 && ae_energy(a, 160) > 0.0f);
    ae_graph_report report;
    ae_graph_read(used.graph, &report);
    CHECK(report.frames == 150 * 160);
    ae_chain_destroy(&used);
    ae_chain_destroy(&fresh);
}

static void test_commands_are_applied_and_bounded(void)
{
    ae_chain chain;
    CHECK(ae_chain_create(&chain, k_rate, 1) == 0);
    const ae_command change = {4, AE_PARAMETER_CEILING_DBTP, -12.0f};
    const ae_command nonsense = {99, 99, NAN};
    CHECK(ae_graph_post(chain.graph, &change) == AE_OK);
    CHECK(ae_graph_post(chain.graph, &nonsense) == AE_OK);
    uint32_t seed = 2;
    float last[960];
    run_blocks(&chain, 100, &seed, last);
    ae_graph_report report;
    ae_graph_read(chain.graph, &report);
    CHECK(report.commands_applied == 2);
    float peak = 0.0f;
    for (int n = 0; n < k_block; n++) peak = fmaxf(peak, fabsf(last[n]));
    CHECK(peak <= ae_amplitude_from_db(-12.0f) * 1.001f);
    int posted = 0;
    while (posted < 1000 && ae_graph_post(chain.graph, &change) == AE_OK) posted++;
    CHECK(posted == 64);
    ae_chain_destroy(&chain);
}

/* ---- switches and shedding: what the plan adds to ae_switch ---- */

static void post(ae_graph *graph, int step, int parameter, float value)
{
    const ae_command command = {step, parameter, value};
    CHECK(ae_graph_post(graph, &command) == AE_OK);
}

static void test_meaningless_switches_are_harmless(void)
{
    ae_chain switched, plain;
    CHECK(ae_chain_create(&switched, k_rate, 1) == 0);
    CHECK(ae_chain_create(&plain, k_rate, 1) == 0);
    const int steps[] = {4, 5, -1, 6, 1 << 30}; /* limiter, meter, none */
    for (int i = 0; i < 5; i++) post(switched.graph, steps[i], AE_PARAMETER_ACTIVE, 0.0f);
    post(switched.graph, 1, AE_PARAMETER_ACTIVE, NAN);
    float a[960], b[960];
    uint32_t seed = 4;
    run_blocks(&switched, 50, &seed, a);
    seed = 4;
    run_blocks(&plain, 50, &seed, b);
    CHECK(memcmp(a, b, k_block * sizeof *a) == 0);
    ae_chain_destroy(&switched);
    ae_chain_destroy(&plain);
}

static void test_shed_meters_change_nothing_that_is_heard(void)
{
    ae_chain shed, plain;
    CHECK(ae_chain_create(&shed, k_rate, 1) == 0);
    CHECK(ae_chain_create(&plain, k_rate, 1) == 0);
    float a[960], b[960];
    uint32_t seed = 4;
    run_blocks(&shed, 100, &seed, a);
    ae_graph_report before, after;
    ae_graph_publish(shed.graph);
    ae_graph_read(shed.graph, &before);
    ae_graph_set_shed(shed.graph, AE_SHED_METERS);
    run_blocks(&shed, 50, &seed, a);
    ae_graph_read(shed.graph, &after);
    CHECK(memcmp(&before.steps[5], &after.steps[5], sizeof(ae_loudness_report)) == 0);
    seed = 4;
    run_blocks(&plain, 150, &seed, b);
    CHECK(memcmp(a, b, k_block * sizeof *a) == 0);
    ae_chain_destroy(&shed);
    ae_chain_destroy(&plain);
}

/* ---- a change of plan ---- */

/* A steady voice-like tone with its echo of a far end: block `index` of it. */
static void make_room(float *mic, float *far, int index)
{
    uint32_t seed = 77u + (uint32_t)index;
    for (int n = 0; n < k_block; n++) {
        const float t = (float)((index * k_block + n) % k_rate) / (float)k_rate;
        far[n] = 0.05f * ae_random(&seed);
        mic[n] = 0.03f * sinf(2.0f * k_ae_pi * 200.0f * t) + 0.5f * far[n];
    }
}

/* The same high-pass and echo filter, everything behind it new. */
static void make_successor(ae_chain *next, const ae_chain *old)
{
    *next = (ae_chain){.channels = 1};
    CHECK(ae_chain_create_kernels(next, k_rate) == 0);
    ae_highpass_destroy(next->highpass);
    ae_echo_filter_destroy(next->echo[0]);
    next->highpass = old->highpass;
    next->echo[0] = old->echo[0];
    next->graph = ae_chain_plan(next, k_rate, 0);
}

static void destroy_successor(ae_chain *next)
{
    next->highpass = NULL;
    next->echo[0] = NULL;
    ae_chain_destroy(next);
}

static void make_chain_of_buses(ae_chain *chain)
{
    CHECK(ae_chain_create(chain, k_rate, 1) == 0);
    ae_graph_destroy(chain->graph);
    chain->graph = ae_chain_plan(chain, k_rate, 0);
}

enum { k_blocks_before = 120, k_blocks_both = 30 };

/* `old` alone, then `next` (leading) and `old` (following, when asked for). */
static void run_both(const ae_chain *old, const ae_chain *next, int follow, float *of_old,
                     float *of_next)
{
    float mic[k_block], far[k_block];
    const float *ins[] = {mic, far};
    for (int b = 0; b < k_blocks_before + k_blocks_both; b++, of_old += k_block) {
        make_room(mic, far, b);
        float *outs_old[] = {of_old}, *outs_next[] = {of_next};
        if (b < k_blocks_before || next == NULL) {
            ae_graph_process(old->graph, ins, outs_old);
            continue;
        }
        if (b == k_blocks_before) ae_graph_take_over(next->graph, old->graph);
        ae_graph_process(next->graph, ins, outs_next);
        if (follow) ae_graph_process_following(old->graph, next->graph, ins, outs_old);
        of_next += k_block;
    }
}

/* Were a kernel run twice in a block, or not at all, its output would not be that of the others. */
static void test_following_equals_two_sets_of_kernels(void)
{
    static float followed[2][(k_blocks_before + k_blocks_both) * k_block];
    static float apart[2][(k_blocks_before + k_blocks_both) * k_block];
    ae_chain shared, alone, donor, next, next_apart;
    make_chain_of_buses(&shared);
    make_chain_of_buses(&alone);
    make_chain_of_buses(&donor);
    make_successor(&next, &shared);
    make_successor(&next_apart, &donor);
    const uint64_t allocations = ae_allocation_count();
    run_both(&shared, &next, 1, followed[0], followed[1]);
    CHECK(ae_allocation_count() == allocations);
    run_both(&alone, NULL, 0, apart[0], NULL);
    CHECK(memcmp(followed[0], apart[0], sizeof followed[0]) == 0);
    run_both(&donor, &next_apart, 0, apart[0], apart[1]);
    CHECK(memcmp(followed[1], apart[1], k_blocks_both * k_block * sizeof(float)) == 0);
    CHECK(ae_energy(followed[1], k_blocks_both * k_block) > 0.0f);
    ae_graph_report old, new;
    ae_graph_read(shared.graph, &old);
    ae_graph_read(next.graph, &new);
    CHECK(old.steps[1].echo.erle_db == new.steps[1].echo.erle_db);
    CHECK(new.frames == k_blocks_both *k_block);
    destroy_successor(&next);
    destroy_successor(&next_apart);
    ae_chain_destroy(&shared);
    ae_chain_destroy(&alone);
    ae_chain_destroy(&donor);
}

typedef struct {
    ae_limiter *limiter;
    ae_sync_delay *delay;
    ae_graph *graph;
} ae_late_plan;

/* A limiter that leaves a quiet signal alone, and a lip-sync delay. */
static ae_late_plan make_late_plan(float ceiling_dbtp, float delay_ms, float initial_delay_ms)
{
    ae_late_plan plan;
    ae_limiter_config limiter = ae_limiter_default_config(k_rate);
    limiter.ceiling_dbtp = ceiling_dbtp;
    ae_sync_delay_config delay = ae_sync_delay_default_config(k_rate);
    delay.delay_ms = delay_ms;
    delay.initial_delay_ms = initial_delay_ms;
    CHECK(ae_limiter_create(&plan.limiter, &limiter) == AE_OK);
    CHECK(ae_sync_delay_create(&plan.delay, &delay) == AE_OK);
    const int channels[] = {1, 1, 1}, in[] = {0}, out[] = {2};
    const ae_step steps[] = {{AE_STEP_LIMITER, 0, -1, 1, -1, {plan.limiter}},
                             {AE_STEP_SYNC_DELAY, 1, -1, 2, -1, {plan.delay}}};
    const ae_graph_config config = {k_rate, 3, channels, 1, in, 1, out, 2, steps};
    CHECK(ae_graph_create(&plan.graph, &config) == AE_OK);
    return plan;
}

static void destroy_late_plan(ae_late_plan *plan)
{
    ae_graph_destroy(plan->graph);
    ae_sync_delay_destroy(plan->delay);
    ae_limiter_destroy(plan->limiter);
}

/* The new limiter begins with an empty delay line: 5 ms of silence that would lie in the lip-sync
 * delay and be heard 200 ms later. What is heard is the input, late, and nothing else. */
static void test_a_long_delay_survives_a_change_of_plan(void)
{
    enum { k_blocks = 100, k_change = 40, k_swap = 8, k_delay_ms = 200 };
    static float in[k_blocks * k_block], out[k_blocks * k_block];
    ae_late_plan old = make_late_plan(-1.0f, k_delay_ms, k_delay_ms);
    ae_late_plan next = make_late_plan(-3.0f, k_delay_ms, 0.0f);
    const int late = ae_graph_latency_frames(old.graph) + k_delay_ms * k_rate / 1000;
    uint32_t seed = 31;
    for (int n = 0; n < k_blocks * k_block; n++) in[n] = 0.1f * ae_random(&seed);
    const uint64_t allocations = ae_allocation_count();
    for (int b = 0; b < k_blocks; b++) {
        float of_next[k_block];
        const float *ins[] = {in + b * k_block};
        float *heard[] = {out + b * k_block}, *unheard[] = {of_next};
        if (b < k_change) {
            ae_graph_process(old.graph, ins, heard);
            continue;
        }
        if (b == k_change) ae_graph_take_over(next.graph, old.graph);
        if (b < k_change + k_swap) {
            ae_graph_process(next.graph, ins, unheard);
            ae_graph_process_following(old.graph, next.graph, ins, heard);
        }
        if (b >= k_change + k_swap) {
            ae_graph_process(next.graph, ins, heard);
        } else if (b >= k_change + AE_GRAPH_WARM_UP_BLOCKS) { /* the fade: both are the same */
            CHECK(memcmp(of_next, heard[0], sizeof of_next) == 0);
        }
    }
    CHECK(ae_allocation_count() == allocations);
    CHECK(memcmp(out + late, in, (size_t)(k_blocks * k_block - late) * sizeof(float)) == 0);
    destroy_late_plan(&old);
    destroy_late_plan(&next);
}

int main(void)
{
    test_wire_cleans_and_counts();
    test_wrong_plans_are_refused();
    test_chain_allocates_nothing_and_keeps_the_mode();
    test_reset_equals_new();
    test_commands_are_applied_and_bounded();
    test_meaningless_switches_are_harmless();
    test_shed_meters_change_nothing_that_is_heard();
    test_following_equals_two_sets_of_kernels();
    test_a_long_delay_survives_a_change_of_plan();
    return AE_TEST_RESULT();
}
