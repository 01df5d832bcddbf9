// Gives the words of CUDA C that the kernels use a meaning on one CPU thread.
//
// The kernel text is included unedited after this header. A thread is a fibre with a stack of its own; it runs until
// it meets a barrier or returns, then the next one runs, in ascending or in descending order. A race that a barrier
// should prevent is thus played out the same way every time, in one of the two orders. Blocks have their own shared
// memory, and all of them are there at once, as a cooperative launch has it: one runs until all its threads wait for
// what another block does (__nanosleep), then the next one.
//
// Compiled after cuda_races.h, which also tells of a race that leaves no trace in the results.
//
// What this cannot show: memory ordering, occupancy and launch limits.

#undef _FORTIFY_SOURCE  // its check takes a jump to another fibre's stack for a fault

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>

extern "C" float fabsf(float);
extern "C" double fabs(double);
extern "C" float expf(float);  // the whole of math.h would double the time a kernel takes to compile
extern "C" double exp(double);
extern "C" float powf(float, float);
extern "C" double pow(double, double);

#define __global__
#define __device__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("cuda_shared")))
#define __syncthreads() host::barrier(__LINE__)

namespace host {

struct Dim {
    unsigned x, y, z;
};

enum { FINISHED = -1, NEW = 0 };  // any other state is the line of the barrier at which a thread waits
enum Outcome { DONE = 0, DIVERGED = 1, FAULT = 2, RACE = 3, STUCK = 4, ENDLESS = 5 };

constexpr unsigned MOST_THREADS = races::MOST_THREADS, MOST_BLOCKS = races::MOST_BLOCKS;  // of all blocks
constexpr size_t STACK_BYTES = 64 * 1024;
constexpr long SECONDS = 10;  // of work for a window; the longest here takes one

struct Fibre {
    ucontext_t start;
    jmp_buf here;  // after the first turn: a jump takes 20 ns where swapcontext, which asks the kernel, takes 500
    int state;
    bool runs;  // false at a barrier, and at the end
};

static Fibre fibres[MOST_THREADS];
static char *stacks = nullptr;
static ucontext_t scheduler_start;
static jmp_buf scheduler;
static sigjmp_buf escape;

}  // namespace host

static host::Dim threadIdx, blockIdx, blockDim, gridDim;

// All that is __shared__ lies between these two, which the linker names.
extern "C" char __start_cuda_shared __attribute__((weak, visibility("hidden")));
extern "C" char __stop_cuda_shared __attribute__((weak, visibility("hidden")));

namespace host {

static void (*thread_body)();

UNWATCHED static unsigned own_fibre() { return blockIdx.x * blockDim.x + threadIdx.x; }

UNWATCHED static void leave() {
    if (_setjmp(fibres[own_fibre()].here) == 0) _longjmp(scheduler, 1);
}

UNWATCHED static void barrier(int line) {
    fibres[own_fibre()].state = line;
    fibres[own_fibre()].runs = false;
    leave();
}

UNWATCHED static void thread() {
    thread_body();
    fibres[own_fibre()].state = FINISHED;
    fibres[own_fibre()].runs = false;
    _longjmp(scheduler, 1);
}

UNWATCHED static void turn(Fibre &fibre) {
    if (_setjmp(scheduler) != 0) return;
    if (fibre.state == NEW) {
        fibre.state = FINISHED;
        swapcontext(&scheduler_start, &fibre.start);
    }
    _longjmp(fibre.here, 1);
}

UNWATCHED static size_t shared_bytes() { return &__stop_cuda_shared - &__start_cuda_shared; }

UNWATCHED static uintptr_t seen_as(uintptr_t word) {
    const bool shared = word * 4 >= (uintptr_t)&__start_cuda_shared && word * 4 < (uintptr_t)&__stop_cuda_shared;
    return shared ? word ^ (uintptr_t)(blockIdx.x + 1) << 48 : word;
}

// Runs a block until it has ended or waits for another one (watched: to its next barrier); tells whether it came any
// further.
UNWATCHED static Outcome run_block(Fibre *own, unsigned threads, bool reverse, bool &further) {
    for (;;) {
        bool waits = false;
        for (unsigned k = 0; k < threads; k++) {
            threadIdx.x = reverse ? threads - 1 - k : k;
            if (own[threadIdx.x].runs) turn(own[threadIdx.x]);
            waits = waits || own[threadIdx.x].runs;
        }
        if (waits) return DONE;
        for (unsigned k = 1; k < threads; k++)
            if (own[k].state != own[0].state) return DIVERGED;
        races::clocks[blockIdx.x].of[blockIdx.x]++;
        further = true;
        if (own[0].state == FINISHED) return DONE;
        for (unsigned k = 0; k < threads; k++) own[k].runs = true;
#ifdef __SANITIZE_THREAD__
        return DONE;  // else a block that comes late would learn more from the one ahead than what it waits for
#endif
    }
}

// The blocks run `body` to its end, each as far as it gets before the next one has its turn.
UNWATCHED static Outcome run_grid(void (*body)(), unsigned blocks, unsigned threads, bool reverse) {
    static char *shared[MOST_BLOCKS] = {};
    if (stacks == nullptr) stacks = (char *)malloc(MOST_THREADS * STACK_BYTES);
    thread_body = body;
    memset(&__start_cuda_shared, 0xA5, shared_bytes());  // a launch finds rubbish there
    for (unsigned b = 0; b < blocks; b++) {
        shared[b] = (char *)realloc(shared[b], shared_bytes() + 1);
        memcpy(shared[b], &__start_cuda_shared, shared_bytes());
    }
    for (unsigned k = 0; k < blocks * threads; k++) {
        fibres[k].state = NEW;
        fibres[k].runs = true;
        getcontext(&fibres[k].start);
        fibres[k].start.uc_stack.ss_sp = stacks + k * STACK_BYTES;
        fibres[k].start.uc_stack.ss_size = STACK_BYTES;
        makecontext(&fibres[k].start, thread, 0);
    }
    for (unsigned idle = 0; idle < 4; idle++) {
        bool ended = true;
        for (unsigned b = 0; b < blocks; b++) {
            blockIdx.x = reverse ? blocks - 1 - b : b;
            Fibre *own = fibres + blockIdx.x * threads;
            if (own[0].state == FINISHED && !own[0].runs) continue;
            bool further = false;
            if (blocks > 1) memcpy(&__start_cuda_shared, shared[blockIdx.x], shared_bytes());
            const Outcome outcome = run_block(own, threads, reverse, further);
            if (blocks > 1) memcpy(shared[blockIdx.x], &__start_cuda_shared, shared_bytes());
            if (outcome != DONE) return outcome;
            if (further) idle = 0;
            ended = ended && own[0].state == FINISHED && !own[0].runs;
        }
        if (ended) return DONE;
    }
    return STUCK;
}

UNWATCHED static void on_fault(int) { siglongjmp(escape, 1); }

static pthread_t runner;

// More than SECONDS of work: a loop that does not end. Any thread of the process may be told of it.
UNWATCHED static void on_time(int signal) {
    if (pthread_equal(pthread_self(), runner)) siglongjmp(escape, 2);
    pthread_kill(runner, signal);
}

// As run_grid; a wild access ends the run with FAULT instead of ending the process.
UNWATCHED static Outcome run(void (*body)(), unsigned blocks, unsigned threads, bool reverse) {
    static char alternate[64 * 1024];
    stack_t fresh = {}, former;
    fresh.ss_sp = alternate;
    fresh.ss_size = sizeof alternate;
    struct sigaction guard = {}, segv, bus, fpe, vtalrm;
    guard.sa_handler = on_fault;
    guard.sa_flags = SA_ONSTACK;
    sigaltstack(&fresh, &former);
    sigaction(SIGSEGV, &guard, &segv);
    sigaction(SIGBUS, &guard, &bus);
    sigaction(SIGFPE, &guard, &fpe);
    guard.sa_handler = on_time;
    sigaction(SIGVTALRM, &guard, &vtalrm);
    const itimerval most = {{0, 0}, {SECONDS, 0}}, none = {};
    runner = pthread_self();
    setitimer(ITIMER_VIRTUAL, &most, nullptr);
    blockDim = {threads, 1, 1};
    gridDim = {blocks, 1, 1};
    races::thread = &threadIdx.x;
    races::block = &blockIdx.x;
    races::seen_as = seen_as;
    races::begin();
    const int escaped = sigsetjmp(escape, 1);
    Outcome outcome = escaped == 0 ? run_grid(body, blocks, threads, reverse) : escaped == 1 ? FAULT : ENDLESS;
    setitimer(ITIMER_VIRTUAL, &none, nullptr);
    sigaction(SIGSEGV, &segv, nullptr);
    sigaction(SIGBUS, &bus, nullptr);
    sigaction(SIGFPE, &fpe, nullptr);
    sigaction(SIGVTALRM, &vtalrm, nullptr);
    sigaltstack(&former, nullptr);
    return races::found != 0 && (outcome == DONE || outcome == FAULT) ? RACE : outcome;
}

}  // namespace host

static void __threadfence() { races::fence(host::own_fibre()); }

// The thread waits for something that another block does.
static void __nanosleep(unsigned) { host::leave(); }

// Whole numbers only: the sum of floats in the order of arrival would not be the same twice.
template <class Whole, class Change>
UNWATCHED static Whole atomic(Whole *at, Change change) {
    static_assert((Whole)0.5 == 0, "atomics are for whole numbers");
    races::see(at, sizeof(Whole), races::ATOMIC);
    races::at(at, host::own_fibre());
    Whole before = *at;
    *at = change(before);
    return before;
}

template <class Whole>
static Whole atomicAdd(Whole *at, Whole more) {
    return atomic(at, [=](Whole old) { return old + more; });
}

template <class Whole>
static Whole atomicMin(Whole *at, Whole other) {
    return atomic(at, [=](Whole old) { return other < old ? other : old; });
}

template <class Whole>
static Whole atomicMax(Whole *at, Whole other) {
    return atomic(at, [=](Whole old) { return other > old ? other : old; });
}

template <class Whole>
static Whole atomicOr(Whole *at, Whole bits) {
    return atomic(at, [=](Whole old) { return old | bits; });
}

template <class Whole>
static Whole atomicAnd(Whole *at, Whole bits) {
    return atomic(at, [=](Whole old) { return old & bits; });
}

template <class To, class From>
static To with_bits_of(From from) {
    To to;
    static_assert(sizeof to == sizeof from, "as many bits");
    memcpy(&to, &from, sizeof to);
    return to;
}

static float __uint_as_float(unsigned bits) { return with_bits_of<float>(bits); }
static unsigned __float_as_uint(float number) { return with_bits_of<unsigned>(number); }
static long long __double_as_longlong(double number) { return with_bits_of<long long>(number); }

static int __popc(unsigned bits) { return __builtin_popcount(bits); }
