/* What the client programs share: checked calls and reading a file. They use only acl/acl.h, as any ACL program does. */
#ifndef ASCENDSIM_CLIENT_H
#define ASCENDSIM_CLIENT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acl/acl.h"

/* Ends the program with the message of the library when a call fails. */
#define CALL(expression)                                                                     \
  do {                                                                                       \
    const aclError status_ = (expression);                                                   \
    if (status_ != ACL_SUCCESS) {                                                            \
      const char *message_ = aclGetRecentErrMsg();                                           \
      fprintf(stderr, "%s returned %d: %s\n", #expression, status_, message_ ? message_ : "no message"); \
      exit(1);                                                                               \
    }                                                                                        \
  } while (0)

/* Content of a file, or zeros of `size` bytes when the path is "-". */
__attribute__((unused)) static char *read_input(const char *path, size_t size) {
  char *data = (char *)calloc(1, size > 0 ? size : 1);
  if (strcmp(path, "-") != 0) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(data, 1, size, file) == 0) {
      fprintf(stderr, "cannot read %s\n", path);
      exit(1);
    }
    fclose(file);
  }
  return data;
}

/* Appends raw bytes to a file; path "-" writes nothing. */
__attribute__((unused)) static void write_output(const char *path, const void *data, size_t size) {
  FILE *file;
  if (strcmp(path, "-") == 0) return;
  file = fopen(path, "ab");
  if (file == NULL || fwrite(data, 1, size, file) != size) {
    fprintf(stderr, "cannot write %s\n", path);
    exit(1);
  }
  fclose(file);
}

#endif
