#!/bin/sh
# ccache as the compiler's launcher. It compiles into a temporary file, so that a header that is precompiled anew would be
# made from the old one beside it, which gcc takes without looking: the old one goes first.
for argument in "$@"; do
  case "$argument" in *.gch) rm -f "$argument" ;; esac
done
# The compiler cannot tell ccache what a precompiled header was made from.
CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime exec ccache "$@"
