// Watches every access of the kernel: two threads at one place, one of them writing, with nothing between them that
// orders the two, is a race.
//
// The compiler inserts a call before each read and write (-fsanitize=thread); its own library is not linked, the calls
// land here. Within a block, barriers order: the block counts them. Between blocks only what the text itself says does:
// a fence, an atomic that another block's atomic reads, and a fence there. Each block knows how far it has heard of each
// other one. The memory of accesses is a table with a slot for each address; where two addresses share one, the later
// takes it, so a race may be missed but none is made up.

#include <stdint.h>
#include <string.h>

#define UNWATCHED __attribute__((no_sanitize("thread"), noinline))

namespace races {

enum { NOBODY = -1, SEVERAL = -2 };
enum Access { READ, WRITE, ATOMIC, ACCESSES };

constexpr unsigned MOST_BLOCKS = 4, MOST_THREADS = 1024, SLOTS = 1u << 18, MEETINGS = 64;

struct By {
    unsigned epoch;  // of the block, at its last access
    int thread;
};

struct Slot {
    uintptr_t place;
    By by[MOST_BLOCKS][ACCESSES];
};

struct Clock {
    unsigned of[MOST_BLOCKS];
    UNWATCHED void join(const Clock &other) {
        for (unsigned b = 0; b < MOST_BLOCKS; b++)
            if (of[b] < other.of[b]) of[b] = other.of[b];
    }
};

struct Meeting {
    const void *place;
    Clock told;
};

static Slot slots[SLOTS];
static Clock clocks[MOST_BLOCKS];                        // what each block has heard of each; of itself, its epoch
static Clock telling[MOST_THREADS], hearing[MOST_THREADS];  // what a thread's last fence gathered, its next one will know
static Meeting meetings[MEETINGS];
static unsigned last_epoch = 0;
static const unsigned *thread = nullptr, *block = nullptr;
static uintptr_t found = 0;
static uintptr_t counted_from = 0, counted_to = 0;  // where accesses are counted as well,
static unsigned long counted[ACCESSES];             // and how many there were

// A launch knows all that was done before it.
UNWATCHED static void begin() {
    for (unsigned b = 0; b < MOST_BLOCKS; b++)
        if (last_epoch < clocks[b].of[b]) last_epoch = clocks[b].of[b];
    for (unsigned b = 0; b < MOST_BLOCKS; b++) {
        for (unsigned c = 0; c < MOST_BLOCKS; c++) clocks[b].of[c] = last_epoch;
        clocks[b].of[b]++;
    }
    memset(telling, 0, sizeof telling);
    memset(hearing, 0, sizeof hearing);
    memset(meetings, 0, sizeof meetings);
    found = 0;
}

UNWATCHED static void see(uintptr_t word, uintptr_t seen_as, Access access) {
    Slot &slot = slots[(seen_as ^ (seen_as >> 18)) & (SLOTS - 1)];
    if (slot.place != seen_as) {
        slot.place = seen_as;
        for (unsigned b = 0; b < MOST_BLOCKS; b++)
            for (int k = READ; k < ACCESSES; k++) slot.by[b][k] = {0, NOBODY};
    }
    const int own = (int)*thread;
    const Clock &clock = clocks[*block];
    for (unsigned b = 0; b < MOST_BLOCKS; b++) {
        for (int other = READ; other < ACCESSES; other++) {
            const By &by = slot.by[b][other];
            const bool harmless = (other == (int)access && access != WRITE) || by.thread == NOBODY;
            const bool apart = b == *block ? by.epoch == clock.of[b] && by.thread != own : by.epoch > clock.of[b];
            if (!harmless && apart && found == 0) found = word * 4;
        }
    }
    By &by = slot.by[*block][access];
    if (by.epoch != clock.of[*block]) by = {clock.of[*block], NOBODY};
    by.thread = by.thread == NOBODY || by.thread == own ? own : SEVERAL;
}

static uintptr_t (*seen_as)(uintptr_t word) = nullptr;  // what lies in shared memory is another place in each block

UNWATCHED static void see(const void *place, unsigned bytes, Access access) {
    if (thread == nullptr) return;
    if ((uintptr_t)place >= counted_from && (uintptr_t)place < counted_to) counted[access]++;
    const uintptr_t first = (uintptr_t)place / 4, last = ((uintptr_t)place + bytes - 1) / 4;
    for (uintptr_t word = first; word <= last; word++) see(word, seen_as(word), access);
}

// What other threads of the block did counts as gathered only before the last barrier.
UNWATCHED static void fence(unsigned fibre) {
    clocks[*block].join(hearing[fibre]);
    telling[fibre] = clocks[*block];
    telling[fibre].of[*block]--;
}

UNWATCHED static void at(const void *place, unsigned fibre) {
    for (Meeting &meeting : meetings) {
        if (meeting.place == nullptr) meeting.place = place;
        if (meeting.place != place) continue;
        hearing[fibre].join(meeting.told);
        meeting.told.join(telling[fibre]);
        return;
    }
}

}  // namespace races

#define SEE(BYTES)                                                                                              \
    extern "C" UNWATCHED void __tsan_read##BYTES(void *place) { races::see(place, BYTES, races::READ); }         \
    extern "C" UNWATCHED void __tsan_write##BYTES(void *place) { races::see(place, BYTES, races::WRITE); }       \
    extern "C" UNWATCHED void __tsan_unaligned_read##BYTES(void *place) { races::see(place, BYTES, races::READ); } \
    extern "C" UNWATCHED void __tsan_unaligned_write##BYTES(void *place) { races::see(place, BYTES, races::WRITE); }
SEE(1) SEE(2) SEE(4) SEE(8) SEE(16)
extern "C" UNWATCHED void __tsan_read_range(void *place, unsigned long bytes) { races::see(place, bytes, races::READ); }
extern "C" UNWATCHED void __tsan_write_range(void *place, unsigned long bytes) { races::see(place, bytes, races::WRITE); }
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void *) {}
extern "C" void __tsan_func_exit() {}
