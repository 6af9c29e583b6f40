"""Parameters of the models."""

from nqsbench.plotting import plt, rows_of, save


def draw(table, config, folder):
    (_, rows), *_ = rows_of(table, config, "fig2")
    figure, axis = plt.subplots()
    axis.bar(rows["model"], rows["parameters"])
    save(figure, folder, "fig99")
