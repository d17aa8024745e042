/* Truths: a step-less graph is a wire; latency is the sum
 * of the kernels'; cleaning is counted; wrong plans are refused; commands arrive; nothing is
 * allocated (the core's counter and a hook on the C library's allocator); the floating-point mode
 * is kept. */
#include "ae_chain.h"
#include "ae_math.h"
#include "ae_test.h"

enum { k_rate = 48000, k_block = 480 };

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HOOKED 1
static long library_allocations;
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
void *malloc(size_t bytes) { return library_allocations++, __libc_malloc(bytes); }
void *calloc(size_t count, size_t bytes)
{
    return library_allocations++, __libc_calloc(count, bytes);
}
void *realloc(void *memory, size_t bytes)
{
    return library_allocations++, __libc_realloc(memory, bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes)
{
    return library_allocations++, __libc_memalign(alignment, bytes);
}
#else
#define HOOKED 0
static long library_allocations;
#endif

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

int main(void)
{
    test_wire_cleans_and_counts();
    test_wrong_plans_are_refused();
    test_chain_allocates_nothing_and_keeps_the_mode();
    test_reset_equals_new();
    test_commands_are_applied_and_bounded();
    return AE_TEST_RESULT();
}
