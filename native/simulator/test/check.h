// A minimal test harness: TEST(name) {...}, CHECK(...), CHECK_EQ(actual, expected).
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace check {

struct Case {
  const char *name;
  void (*body)();
};

inline std::vector<Case> &cases() {
  static std::vector<Case> list;
  return list;
}

inline int &failures() {
  static int count = 0;
  return count;
}

inline bool add(const char *name, void (*body)()) {
  cases().push_back({name, body});
  return true;
}

inline void report(const char *file, int line, const std::string &what) {
  ++failures();
  fprintf(stderr, "  %s:%d: %s\n", file, line, what.c_str());
}

template <class A, class B>
void equal(const A &actual, const B &expected, const char *text, const char *file, int line) {
  if (actual == expected) return;
  std::ostringstream message;
  message << text << " is " << actual << ", expected " << expected;
  report(file, line, message.str());
}

/** Runs all tests, or those whose name contains the first argument; returns the exit code. */
inline int runAll(int argc, char **argv) {
  int passed = 0;
  int failed = 0;
  for (const Case &test : cases()) {
    if (argc > 1 && strstr(test.name, argv[1]) == nullptr) continue;
    if (getenv("ASCENDSIM_TEST_VERBOSE") != nullptr) fprintf(stderr, "%s\n", test.name);
    const int before = failures();
    test.body();
    const bool ok = failures() == before;
    if (!ok) printf("FAILED %s\n", test.name);
    ++(ok ? passed : failed);
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace check

#define TEST(name)                                                     \
  static void test_##name();                                           \
  static const bool registered_##name = check::add(#name, test_##name); \
  static void test_##name()
#define CHECK(condition)                                                          \
  do {                                                                            \
    if (!(condition)) check::report(__FILE__, __LINE__, #condition " is false"); \
  } while (false)
#define CHECK_EQ(actual, expected) check::equal((actual), (expected), #actual, __FILE__, __LINE__)
