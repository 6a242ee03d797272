"""The papers' tables, typed a second time from their text: no number of published.json can change alone."""

from mindpics import published as mindpics
from mindpics.published import ROWS, published, table3_row
from mindpics.traits import word_slots
from pinterest_id import published as pinterest

# Cucurull et al. 2018, Table 1
WORDS = """
O high: culture, films, folk, humans, literature, moon, narrative, novel, poet, poetry, sky
O low: anniversary, detest, diaper, hate, hatred, hubby, implore, loves, prayers, thankful, thanks
C high: achieved, adventure, challenging, determined, discipline, persistence, recovery, routine, snack, vegetables,
    visit
C low: bang, bloody, boring, deny, drunk, fool, protest, soldier, stupid, swear, vain
E high: bar, concert, crowd, dancing, drinking, friends, girls, grandfather, party, pool, restaurant
E low: blankets, books, cats, computer, enough, interest, knitting, lazy, minor, pages, winter
A high: afternoon, beautiful, feelings, gifts, hug, joy, spring, summer, together, walked, wonderful
A low: asshole, bin, cost, drugs, excuse, harm, idiot, porn, sexual, stupid, violence
N high: annoying, ashamed, awful, horrible, lazy, sick, stress, stressful, terrible, upset, worse
N low: completed, county, ground, later, mountain, oldest, poem, road, southern, sunset, thirty
"""
# Table 2: Golbeck, Iacobelli, Segalin, Guntuku
LITERATURE = """
O   75.50 84.36 61.00 66.10
C   61.70 79.18 67.00 70.50
E   58.60 71.68 65.00 69.70
A   69.70 78.31 64.00 72.30
N   42.80 70.51 69.00 61.50
avg 61.66 76.80 65.20 68.02
"""
# Table 3; rows 1 and 2 from scratch, 3 to 6 fine-tuned (section 4.1)
ACCURACIES = """
alexnet independent scratch    61.6 62.9 63.4 62.5 64.0 62.9
alexnet all-in-one scratch     62.3 63.5 63.6 62.1 65.4 63.4
alexnet independent finetune   67.8 68.3 73.5 67.4 69.1 69.2
alexnet all-in-one finetune    66.9 69.2 73.6 67.8 69.4 69.4
resnet50 independent finetune  69.5 72.8 76.9 69.1 70.3 71.7
resnet50 all-in-one finetune   69.8 72.4 77.7 69.8 69.6 71.9
"""
# Gomez et al. 2017, Table 2: accuracy, F1
MODELS = """
text only    33.75 33.21
images only  21.62 19.72
linear 0.3   37.18 35.01
linear 0.5   34.68 32.11
linear 0.7   30.73 28.10
CF           37.34 36.16
CF+Ref       38.30 37.46
"""
# Table 3: user, median words, F1; user 83's median is printed as 135, and as 13.5 in the text below the table
LOWEST = "13 4 0.059; 116 6 0.062; 2 5 0.081; 101 6 0.083; 64 5 0.086"
HIGHEST = "106 16 0.995; 83 13.5 0.985; 34 68 0.980; 86 12 0.966; 40 28 0.949"


def lines(table):
    return table.strip().splitlines()


def numbers(text):
    return [float(word) for word in text.split()]


def test_the_110_words():
    typed = []
    for line in lines(WORDS.replace(",\n", ",")):
        of, words = line.split(": ")
        trait, pole = of.split()
        typed += [(word, trait, pole) for word in words.replace(" ", "").split(",")]
    assert len(typed) == 110 and sorted(word_slots()) == sorted(typed)


def test_accuracies_of_the_literature():
    names = ("Golbeck (words)", "Iacobelli (words)", "Segalin (images)", "Guntuku (images)")
    typed = {line.split()[0]: numbers(line.partition(" ")[2]) for line in lines(LITERATURE)}
    found = published()["table2_accuracy_literature"]
    assert {name: {of: row[i] for of, row in typed.items()} for i, name in enumerate(names)} == found


def test_table_3_of_mindpics():
    typed = {tuple(line.split()[:3]): numbers(" ".join(line.split()[3:])) for line in lines(ACCURACIES)}
    assert list(typed) == [tuple(row) for row in ROWS]
    for row, values in typed.items():
        assert [table3_row(*row)[key] for key in ("O", "C", "E", "A", "N", "avg")] == values, row


def test_sections_3_and_4_of_mindpics():
    data, training = published()["dataset"], published()["training"]
    assert data == {
        "images": 121_000,
        "words_per_trait": 22,
        "images_per_word_about": 1100,
        "images_per_trait_about": 24_000,
        "train_fraction": 0.8,
        "test_fraction": 0.2,
        "image_size": 256,
    }
    assert (training["momentum"], training["dropout"], training["weight_decay"]) == (0.9, 0.5, 0.0005)
    assert training["batch_size"] == {"alexnet": 128, "resnet50": 32} and training["new_layer_lr_factor"] == 10
    assert training["base_lr"] == {"scratch": 0.01, "finetune": 0.001}
    assert list(training["crop"].values()) == [227, 224]
    assert "perplexity 30" in published()["figures"]["4c-8c, 9"] and "50 images" in published()["figures"]["4-8"]
    assert set(published()) == {
        "source",
        "table1_words",
        "table2_accuracy_literature",
        "table3_accuracy",
        "dataset",
        "training",
        "figures",
    }, "what is new here is to be typed again above"


def test_table_2_of_pinterest():
    typed = {line[:13].strip(): numbers(line[13:]) for line in lines(MODELS)}
    rows = [pinterest.table2_row(model) for model in typed]
    assert [[row["accuracy"], row["f1_macro"]] for row in rows] == list(typed.values())
    assert [row["model"] for row in pinterest.published()["table2"]] == list(typed)
    assert [row["recall_at_10"] for row in rows] == [None] * 5 + [75, None]


def test_table_3_of_pinterest():
    users = pinterest.published()["table3_users"]
    for end, text in (("lowest", LOWEST), ("highest", HIGHEST)):
        assert users[end] == [numbers(user) for user in text.split(";")]


def test_sections_3_to_5_of_pinterest():
    paper = pinterest.published()
    data = dict(paper["dataset"])
    assert data.pop("words_per_pin") == {"min": 1, "max": 552, "median": 4, "mean": 8.5}
    assert data.pop("split_per_user") == {"train": 400, "validation": 100, "test": 100}
    assert data.pop("explained_variance_10_pcs") == {"text": 0.043, "image": 0.321}
    assert data == {
        "pins": 70_200,
        "users": 117,
        "pins_per_user": 600,
        "boards_per_user": 3,
        "pins_per_board": 200,
        "dictionary_words": 17_145,
        "one_word_pins_pct": 12.33,
        "images_shared_by_two_or_more_users_pct": 4.2,
    }
    assert paper["counts"] == {"users_f1_below_10pct": 7, "users_f1_above_90pct": 6, "pearson_f1_vs_median_words": 0.46}
    classifier = paper["classifier"]
    assert classifier["C_grid"] == [0.1, 1, 10, 100] and classifier["linear_lambda"] == [0.3, 0.5, 0.7]
    assert classifier["refine_top"] == 10


def test_each_package_reads_its_own_paper():
    assert "Personality" in mindpics.published()["source"] and "Pinterest" in pinterest.published()["source"]
