/* The mean of some numbers, as a program that gc-warm keeps running. Standard C, no library. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char line[1 << 20];

static void answer(long id, char *request)
{
    double sum = 0;
    int count = 0;
    for (char *next, *at = strchr(request, '[') + 1;; at = next + 1, count++) {
        double number = strtod(at, &next);
        if (next == at)
            break;
        sum += number;
        if (*next != ',') {
            count++;
            break;
        }
    }
    if (count)
        printf("{\"id\": %ld, \"result\": %.17g}\n", id, sum / count);
    else
        printf("{\"id\": %ld, \"error\": {\"message\": \"the mean of no numbers\"}}\n", id);
}

int main(void)
{
    /* A slow start would be here. */
    printf("{\"ready\": true}\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        answer(atol(strstr(line, "\"id\": ") + 6), strstr(line, "\"request\": ") + 11);
        fflush(stdout);
    }
    return 0;
}
