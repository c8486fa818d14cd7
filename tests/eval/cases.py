"""Inputs on which our metrics are compared with the published ones.

`record_witness.py` runs the published code on them and writes what it gives into `witness.json`.
"""

from __future__ import annotations

CAPTIONS = [
    ("a cat and a dog", ["a cat and a dog", "a dog and a cat", "there are a cat and a dog"]),
    ("Two pigs in the picture.", ["two pigs", "a picture of two pigs", "two pigs in a picture"]),
    ("a car left of a tree and a tree", ["a red car on the left of a big old tree", "a car and a tree"]),
    ("A man riding a wave on top of a surfboard.", ["A man surfs a wave.", "a surfer on a wave", "A man is surfing."]),
    ("the the the the", ["the cat is on the mat", "there is a cat on the mat"]),
    ("A woman's hat isn't on the table, it's under it.", ["The hat isn't there.", "a woman's hat under a table"]),
    ('A sign that says "stop" (in red).', ["a red stop sign", "A stop sign at 5:30 p.m.", "a sign, in red"]),
    ("dog", ["a dog", "dog"]),
    ("A black-and-white t-shirt for $5.50", ["A t-shirt costs $5.50.", "black and white shirt"]),
    ("People walk down Main St. with 20 umbrellas", ["People on Main St.", "20 umbrellas on a street"]),
]
SENTENCES = """\
A man's hat isn't on the table, it's "under" it.
Two dogs don't like the cat's food; they can't eat it.
A t-shirt that says "I ♥ NY" (in red).
He won't go at 5:30 p.m. to the U.S. embassy.
A sign reading 'STOP' at 1,000 feet...
The woman is wearing a black-and-white dress and/or a hat.
A bottle of water costs $5.50, or 20% off!
A street sign for Main St. and 5th Ave.
A man in a #7 jersey plays for the 49ers.
Someone cannot see the 1980s car -- it is hidden.
The kids' toys are on the floor.
Rock 'n' roll band on stage.
A pizza w/ cheese & ham.
It's 3/4 full and 1/2 empty.
He's gonna wanna eat; lemme see!
A boat [old] and {new} things.
The temperature is 30° outside
They'll've been there. I'd've gone.
Dr. Smith and Mr. Jones vs. Mrs. Brown.
o'clock ma'am y'all
a cat—on a mat – with a bat
This is a photo of Washington D.C.
I like the letter b.
50's style diner in the '50s
2 x 4 wood planks; 10x10 room
a woman's women's men's children's toys
Wi-Fi, 4x4 truck, MP3 player, 3D glasses
A #1 fan, an @ sign, * star, a + b = c""".split("\n")

VQA = [
    (answer, references)
    for references in (
        ["yes"] * 10,
        ["2"] * 4 + ["two"] * 3 + ["2 cats"] * 2 + ["none"],
        ["red"] * 2 + ["Red."] + ["dark red"] * 7,
        ["1,000"] * 5 + ["1000"] * 5,
        ["it's a dog"] * 3 + ["its a dog"] * 3 + ["dog"] * 4,
        ["t-shirt"] * 5 + ["t shirt", "tshirt", "shirt", "the t-shirt", "a t-shirt."],
        ["10:30"] * 6 + ["10.30"] * 2 + ["half past ten"] * 2,
        ["don't walk"] * 8 + ["dont walk", "walk"],
        ["left/right"] * 3 + ["left right"] * 7,
    )
    for answer in (
        "yes", "Yes.", "two", "2", "a red", "red", "1000", "1,000", "It's a dog!", "its a dog", "dog", "t-shirt",
        "The T-shirt.", "10:30", "10.30", "dont walk", "Don't walk", "left/right", "left , right", "none", "",
    )
]  # fmt: skip
NORMAL = (
    ("dont cant wont youre theyre ill were its shes hes hed yall yallll youve couldnt've couldn'tve").split()
    + [
        "somebody'd",
        "somebodys",
        "'ow'sat",
        "'ows'at",
        "yall'd've",
        "let's",
        "lets",
        "im",
        "oclock",
        "twas",
        "hadnt've",
    ]
    + ["A man, a plan; a canal: Panama!", "3.5", "3.", ".5", "a.b.c.", "(left)", "50%", "U.S.A.", "the 1,2 and 3", "-5"]
    + [
        "rock & roll",
        "half-eaten",
        "two-thirds",
        "what?",
        "who's there",
        "1/2",
        "zero none ten",
        "back\nslash\\",
        "a_b",
    ]
)

ANLS = [
    (answer, references)
    for references in (["Coca Cola"], ["$1,234.50", "1234.50"], ["New  York", "NYC"], ["x"], ["Ferrari F40"])
    for answer in (
        "coca cola",
        "Coca Col",
        "cocacola",
        "1234.5",
        "$1,234.50",
        "new york",
        "NY",
        "x",
        "",
        "f40",
        "ferrari",
    )
]
RELAXED = [
    (answer, target)
    for target in ("10", "0", "5%", "0.05", "Yes", "12.5", "-4", "2019", "Blue")
    for answer in (
        "10",
        "10.4",
        "10.6",
        "9.5",
        "0",
        "0.0",
        "5%",
        "5",
        "0.0525",
        "yes",
        "12.5%",
        "-4.1",
        "2019.0",
        "blue",
        "",
    )
]

OPTIONS = ["a red car", "the blue bus", "green", "none of these"]
CHOICES = [
    "A", "B.", "(C)", "D)", "The answer is B", "The answer is (C).", "I think it is the blue bus that was seen here",
    "A or B", "(A) or (B)", "B and then C .", "It shows a red car and green grass over there", "Answer: D", "b",
    "A. a red car", "C: green", "A man is standing there", "", "none of these things can be seen in it", "(B",
    "B,", "A B C D", "E", ":A", "green", "The blue bus", "It is C, not D.", "A.", "C.", "Option (D)",
]  # fmt: skip
OPEN = [
    (answer, references)
    for references in (["1,250"], ["3.14", "22/7"], ["oxygen"], ["x"], ["the left ventricle"], ["-0.5"])
    for answer in (
        "1250", "It is 1,250 dollars.", "The answer is 3.14", "so x = 3.1416", "Oxygen", "the result is oxygen gas.",
        "x", "it could be x or y", "left ventricle", "the left ventricle of the heart",
        "therefore the final answer is -0.5", "-.5", "", "1.25e3", "is ", "answer :",
    )
]  # fmt: skip
YESNO = [
    "yes",
    "Yes.",
    "No",
    "no, it is not",
    "y",
    "n",
    "x",
    "Yesterday",
    "I do not know",
    "",
    "nope",
    "not",
    "YES!",
    "it is no",
]

BOXES = [
    (answer, truth)
    for truth in ((0.1, 0.2, 0.5, 0.6), (0.0, 0.0, 1.0, 1.0))
    for answer in (
        "[0.1, 0.2, 0.5, 0.6]",
        "It is [0.2,0.2,0.6,0.7].",
        "[0, 0, 1, 1]",
        "[1, 2]",
        "",
        "[-0.1, 0.2, 0.3, 0.4]",
    )
]

MATHVISION = [
    (answer, truth, options)
    for truth, options in (("B", ["1", "2", "3", "4", "5"]), ("7", []), ("\\frac{1}{2}", []), ("2\\sqrt{3}", []))
    for answer in (
        "B", "(B)", "B.", "The answer is B.", "the answer is (B).", "The answer is 2", "It is 7.", "7", "7.0", "= 7",
        "\\boxed{7}", "so $\\boxed{\\frac{1}{2}}$", "0.5", "1/2", "\\frac12", "\\frac{2}{4}", "2\\sqrt{3}", "2\\sqrt3",
        "3.464", "\\sqrt{12}", "the final answer is 7. Done.", "\\boxed{B}", "x = 7", "C", "", "seven",
        "7 km", "7^\\circ",
    )
]  # fmt: skip
MATHVISTA = [
    (read, question, kind, options, precision)
    for question, kind, options, precision in (
        ("multi_choice", "text", ["3/11", "8/11", "6/11", "3/5"], None),
        ("free_form", "integer", [], None),
        ("free_form", "float", [], 1),
        ("free_form", "float", [], 2),
        ("free_form", "list", [], None),
    )
    for read in ("B", "(B) 8/11", "8/11", "8 / 11", "14", "14.7", "1.45", "[2007, 2008]", "none", "(c)", "-3", "b")
]
