// What makes of a run that is made once a run that is made again for each call from Python.

#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <functional>
#include <new>

namespace brian_eprop {

// Memory that Python has made and sees as well: arrays one after the other, in the order in which
// both know them.
struct SharedMemory
{
    char *begin = nullptr, *end = nullptr, *next = nullptr;
    // Where the next vector is to have its numbers
    char *wanted = nullptr;

    void open(int file, int64_t size)
    {
        struct stat found;
        void *memory = fstat(file, &found) == 0 && found.st_size == size
            ? mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
        if (memory == MAP_FAILED)
        {
            std::cerr << "the memory that is shared with Python cannot be used" << std::endl;
            std::exit(1);
        }
        close(file);
        begin = next = (char *)memory;
        end = begin + size;
    }

    template <class T> T *place(size_t n)
    {
        T *values = (T *)next;
        next += (n*sizeof(T) + 63)/64*64;
        return values;
    }

    bool has(const void *pointer) const { return pointer >= begin && pointer < end; }
};

// One object that is there before and after all others
inline SharedMemory &shared() { static SharedMemory memory; return memory; }

}

// A vector chooses its place itself; this lets it choose shared memory.
void *operator new(std::size_t size)
{
    auto &shared = brian_eprop::shared();
    void *place = shared.wanted ? shared.wanted : std::malloc(size ? size : 1);
    shared.wanted = nullptr;
    if (!place)
        throw std::bad_alloc();
    return place;
}
void operator delete(void *place) noexcept
{
    if (!brian_eprop::shared().has(place))
        std::free(place);
}

namespace brian_eprop {

class Calls
{
    // What each call begins with, to be restored: what a new process would begin with
    std::vector<std::function<void()>> start;
    std::clock_t called;
    int answers;
    // The number of the call, which its answer repeats
    char number = 0;

public:
    Calls(const std::vector<std::string> &arguments, int64_t size)
    {
        // What the program prints must not be taken for an answer.
        answers = dup(STDOUT_FILENO);
        dup2(STDERR_FILENO, STDOUT_FILENO);
        shared().open(arguments.empty() ? -1 : std::atoi(arguments[0].c_str()), size);
    }

    // Memory of the results of a call
    template <class T> T *place(size_t n) { return shared().place<T>(n); }

    // Give back what no run reads.
    template <class T> void free(T *&values)
    {
        delete[] values;
        values = nullptr;
    }

    // Move an array to where Python writes or reads it.
    template <class T> void share(T *&values, size_t n)
    {
        values = std::copy_n(values, n, place<T>(n)) - n;
    }
    template <class T> void share(std::vector<T> &values)
    {
        std::vector<T> moved;
        shared().wanted = (char *)place<T>(values.size());
        moved.reserve(values.size());
        moved.assign(values.begin(), values.end());
        values.swap(moved);
    }

    // Begin each call with the present values.
    template <class T> void restore(T *&values, size_t n)
    {
        const std::vector<T> first(values, values + n);
        start.push_back([&values, first] { std::copy(first.begin(), first.end(), values); });
    }
    template <class T> void restore(std::vector<T> &values)
    {
        const std::vector<T> first(values);
        const size_t n = first.size();
        if (std::count(first.begin(), first.end(), T(0)) == (std::ptrdiff_t)n)
            start.push_back([&values, n] { values.assign(n, T(0)); });
        else
            start.push_back([&values, first] { values = first; });
    }
    void restore(SynapticPathway &pathway, void (*with_delays)() = nullptr)
    {
        start.push_back([&pathway, with_delays] {
            for (auto *queue : pathway.queue)
            {
                queue->offset = 0;
                for (auto &spikes : queue->queue)
                    spikes.clear();
            }
            // of this call, as Python has written them
            if (with_delays)
                with_delays();
        });
    }

    // Wait for a call; false if there will be none, since the process that made them has ended.
    bool next()
    {
        if (read(STDIN_FILENO, &number, 1) != 1)
            return false;
        called = std::clock();
        for (auto &set : start)
            set();
        return true;
    }

    // Processor time since the call came
    double seconds() const { return (double)(std::clock() - called)/CLOCKS_PER_SEC; }

    // Whether nobody waits for the answer any more
    bool abandoned() const
    {
        pollfd input = {STDIN_FILENO, 0, 0};
        return poll(&input, 1, 0) > 0;
    }

    void answer()
    {
        if (write(answers, &number, 1) != 1)
            std::exit(1);
    }
};

}
