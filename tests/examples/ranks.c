/* Pi by all ranks of MPI. Rank 0 speaks with gc-warm; the others follow it. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double my_part(long terms, int rank, int ranks)
{
    double sum = 0;
    for (long i = rank; i < terms; i += ranks)
        sum += (i % 2 ? -4.0 : 4.0) / (2 * i + 1);
    return sum;
}

int main(int argc, char **argv)
{
    static char line[4096];
    int rank, ranks;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (rank == 0) {
        printf("{\"ready\": true}\n");
        fflush(stdout);
    }
    for (;;) {
        long order[2] = {0, 0}; /* the request's number and the terms; 0 to end */
        if (rank == 0 && fgets(line, sizeof line, stdin)) {
            order[0] = atol(strstr(line, "\"id\": ") + 6);
            order[1] = atol(strstr(line, "\"request\": ") + 11);
        }
        MPI_Bcast(order, 2, MPI_LONG, 0, MPI_COMM_WORLD);
        if (order[0] == 0)
            break;
        double part = my_part(order[1], rank, ranks), pi;
        MPI_Reduce(&part, &pi, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
        if (rank == 0) {
            printf("{\"id\": %ld, \"result\": {\"pi\": %.12f, \"ranks\": %d}}\n", order[0], pi,
                   ranks);
            fflush(stdout);
        }
    }
    MPI_Finalize();
    return 0;
}
