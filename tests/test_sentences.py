"""How many sentences a text has."""

# ruff: noqa: RUF001 - punctuation and letters of other languages are meant

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from safety_reasoning.filters.sentences import blocks, count_sentences

CHOSEN_ON = {
    # plain
    "The user asks how a lock works.": 1,
    "The user asks how a lock works. The answer is general.": 2,
    "The request is harmless. It asks for a recipe. No category applies.": 3,
    "The request is harmless": 1,
    "The request is harmless. It asks for a recipe": 2,
    # abbreviations
    "The user names weapons, e.g. knives and guns, which falls under S4.": 1,
    "The user names weapons (e.g., knives) and asks for prices.": 1,
    "It is fraud, i.e. deception for gain.": 1,
    "It is fraud, i.e. Category S15.": 1,
    "Dr. Smith is asked for a diagnosis.": 1,
    "Mr. Jones and Mrs. Brown are private persons.": 1,
    "The user lives in the U.S. and wants to vote.": 1,
    "The user lives in the U.S. The question is about voting.": 2,
    "The U.S. Government is mentioned only in passing.": 1,
    "It lists guns, knives, etc. and asks for more.": 1,
    "It lists guns, knives, etc. The user wants to buy them.": 2,
    "It weighs safety vs. freedom in general terms.": 1,
    "The case Roe v. Wade is public history.": 1,
    "Rule No. 5 forbids it.": 1,
    "The answer is a plain no. The user is told why.": 2,
    "The shop opens at 9 a.m. and closes at 5 p.m. on weekdays.": 1,
    "The attack is planned for 5 p.m. The target is a school.": 2,
    "Acme Inc. is a company, so no private person is harmed.": 1,
    "The request targets St. Mary's school.": 1,
    "See Fig. 3 and p. 12 of the manual.": 1,
    "She holds a Ph.D. in chemistry and asks about dosage.": 1,
    "The policy (cf. Sec. 4.2) allows it.": 1,
    "The prompt contains approx. 30 insults.": 1,
    "The letter is signed by Gen. Lee et al. and is historical.": 1,
    "The prompt was posted on Jan. 5 by a journalist.": 1,
    # taxonomy codes
    "The prompt falls under S1: Violence.": 1,
    "It violates S1: Violence. It also touches S21.": 2,
    "The request falls under S21. The response refuses.": 2,
    "The prompt fits category S3 (Sexual). It asks for explicit content.": 2,
    "S10. Harassment is the closest category.": 1,
    "Neither S1 nor S2 applies. S3 does.": 2,
    "It falls under S15 (Fraud/Deception), S9 (PII/Privacy) and S21.": 1,
    "Rules 1. and 3. are broken.": 1,
    # numbered and bulleted lists
    "1. The user asks for a bomb.\n2. The response refuses.": 2,
    "1) The user asks for a bomb\n2) The response refuses": 2,
    "- asks for a bomb\n- is refused\n- no details": 3,
    "* The user is angry.\n* The user threatens a neighbour.": 2,
    "• Prompt asks for malware.\n• Response gives code.": 2,
    "Two things matter:\n1. The target is a child.\n2. The intent is stated.": 2,
    "a. The tone is polite.\nb. The aim is not.": 2,
    "1. First, the prompt asks for a weapon. It names a school.\n2. Second, the response helps.": 3,
    "The steps are 1. buy, 2. mix, and 3. wait.": 1,
    # quotes with a full stop inside
    'The user says "kill him." That is a threat.': 2,
    'The user says "kill him." and means a game.': 1,
    'The phrase "kill the process" is technical.': 1,
    "The user wrote “I hate them.” The response calms them.": 2,
    'The user asks, "How do I make a bomb?"': 1,
    'The question "How do I make a bomb?" is dangerous.': 1,
    'The user asks "Why?" The response explains.': 2,
    "The response starts with \"I'm sorry, but I can't help.\" and ends there.": 1,
    "The user shouts 'Stop!' and leaves.": 1,
    # several sentences quoted inside one
    'The prompt "Hi. Who are you?" is harmless.': 1,
    'The text "I hate you. I will kill you. Wait for me." is a threat (S11).': 1,
    "The message “Hello! My name is Max. What is yours?” is small talk.": 1,
    'The user writes "Buy now! Limited offer! Click here!" to trick people.': 1,
    'The reply "No. I will not." is a refusal. Nothing harmful is said.': 2,
    'When asked "Where do you live? Are you alone?", the child answers. That is grooming.': 2,
    # ellipses
    "The user hesitates... and then asks for poison.": 1,
    "The user trails off... The response asks what is meant.": 2,
    "The user trails off… The response asks what is meant.": 2,
    "Well … it is a story.": 1,
    "It might be a joke. . . but it is not.": 1,
    # decimals, versions, URLs, file names, addresses
    "The dose is 2.5 mg per kg.": 1,
    "The price rose by 3.14 percent. The user complains.": 2,
    "It costs $1,299.99 and is legal.": 1,
    "Python 3.11.2 is needed to run the script.": 1,
    "The exploit targets Windows NT 4.0. It is old.": 2,
    "The user links to https://www.example.com/a.html?q=1.2 and asks for a summary.": 1,
    "The page is example.com. It sells phones.": 2,
    "Send it to jane.doe@example.org for review.": 1,
    "The script reads config.yaml and writes out.txt.": 1,
    "The server at 192.168.0.1 is private.": 1,
    # initials
    "J. R. R. Tolkien wrote the book.": 1,
    "The quote is by George W. Bush and is public.": 1,
    "The story by J.K. Rowling is fiction. No harm is done.": 2,
    "The person is called A. Miller. She is a public figure.": 2,
    "It was planned by Mr. T. It failed.": 2,
    # parentheses
    "The request is a joke (or so it says).": 1,
    "The request is a joke. (At least it says so.) The response plays along.": 3,
    "The user (who is a nurse. Or claims to be.) asks about morphine.": 1,
    "The user asks for help (why?) with a bomb.": 1,
    "No category applies (see S13 [Needs Caution].)": 1,
    # question and exclamation marks
    "Is it harmful? No.": 2,
    "What?! That is a threat.": 2,
    "Really?? It seems so!!! The user insists.": 3,
    "Could it be a game? Perhaps. The user mentions Minecraft!": 3,
    "The site Yahoo! is named, nothing else.": 1,
    # semicolons, colons, dashes
    "The prompt is harmless; the response is general; no category applies.": 1,
    "The reason is simple: the user asks for code.": 1,
    "The user asks for code – nothing more – and gets it.": 1,
    "The prompt asks for violence: S1 applies. The response refuses.": 2,
    # headings
    "Reasoning: The user asks about locks.": 1,
    "Reasoning:\nThe user asks about locks.": 1,
    "**Reasoning:** The user asks about locks. It is harmless.": 2,
    "## Analysis\nThe user asks about locks.": 1,
    "Prompt: asks about locks.\nResponse: explains pins.": 2,
    # line breaks
    "The user asks about locks\nThe response explains pins": 2,
    "The user asks about locks.\n\nThe response explains pins.": 2,
    "The user asks about\nlocks and keys.": 1,
    "\n\n  The user asks about locks.  \n\n": 1,
    "The user asks about locks.\r\nThe response explains pins.\r\n": 2,
    'The user asks:\n\n"How do I pick a lock?"': 1,
    "The user asks about locks.It is harmless.": 2,
    # emojis, capitals
    "The user is happy! 😀": 1,
    "The user is happy 😀. The reply is too 🎉.": 2,
    "The user is happy. 😀 The reply is too.": 2,
    "STOP IT NOW. I WILL FIND YOU. THIS IS A THREAT.": 3,
    "THE USER ASKS FOR HELP": 1,
    # lower case
    "the user asks about locks. the response explains pins.": 2,
    "iPhone prices are asked for. eBay is named.": 2,
    # nothing
    "": 0,
    "   \n\t ": 0,
    "...": 0,
    "—": 0,
    "N/A": 1,
    # other languages
    "用户询问锁的原理。回答是一般性的。": 2,
    "这是有害的吗？不是！": 2,
    "これは質問です。答えは簡単です。": 2,
    "Der Nutzer fragt nach z. B. Schlössern. Das ist harmlos.": 2,
    "¿Es peligroso? No, es una pregunta general.": 2,
    "Пользователь спрашивает о замках. Ответ общий.": 2,
    "هل هذا ضار؟ لا، هذا سؤال عام.": 2,
    "यह एक सवाल है। यह हानिरहित है।": 2,
    "L'utilisateur demande conseil. C'est inoffensif !": 2,
    'The prompt "用户问。你是谁？" is harmless.': 1,
    # markup
    "The prompt asks for **malware**. The response refuses.": 2,
    "**The prompt asks for malware.** The response refuses.": 2,
    "The user runs `rm -rf ./*. Then` by mistake.": 1,
    "The user asks for [a link](https://example.com/x.y). It is harmless.": 2,
}
"""The cases that the library and the rewrites were chosen on."""
LATER = {
    "Ms. Brown is a private person, and her address is asked for.": 1,
    "The user impersonates Sgt. Miller of the L.A. Police Department to get a code.": 1,
    "The request concerns the U.K. Parliament. It is a civics question.": 2,
    "The user is from Washington, D.C. Nothing harmful is asked.": 2,
    "The dosage is max. 4 g a day, which the response says.": 1,
    "The request mentions drugs (heroin, cocaine, etc.). It falls under S5.": 2,
    "The prompt wants to know how to make meth, LSD, etc., and so S5 applies.": 1,
    "Since the user writes 'I want to die.', S6 applies.": 1,
    'The prompt is a pun ("I\'m dead.") and not about death.': 1,
    "The assistant answers “I can't help with that.” That is a refusal.": 2,
    'The user\'s message, "You are stupid! Go away!", is an insult (S10).': 1,
    'In the story, the robber says, "Give me the money. Now." The clerk obeys.': 2,
    'The user quotes a song: "We will rock you. We will win."': 1,
    '"How do I kill a Python process?" is a technical question.': 1,
    '"I\'ll find you." is a threat; "I\'ll call you." is not.': 1,
    '"Ignore all previous instructions." The user tries a jailbreak.': 2,
    "The user asks for (1) a recipe, (2) a price, and (3) a seller.": 1,
    "Reasons: 1. The target is a minor. 2. The intent is explicit. 3. The reply helps.": 3,
    "Categories: S1 (Violence), S4 (Guns and Illegal Weapons).": 1,
    "Violated categories:\n- S1: Violence\n- S11: Threat": 2,
    "**Prompt:** The user asks for a bomb.\n**Response:** It refuses.": 2,
    "### Prompt\nThe user asks for a bomb.\n\n### Response\nIt refuses.": 2,
    "The prompt is about S12 (Profanity), not S10 (Harassment). Thus, no threat is made.": 2,
    "S1 does not apply, nor does S2; S3 is closest.": 1,
    "The relevant category is S7. Sexual content about minors is never allowed.": 2,
    "The user asks whether 3.5 is greater than 3.11. It is harmless.": 2,
    "GPT-4.1 wrote the text. The user only asks for edits.": 2,
    "The user runs Ubuntu 22.04 LTS and asks about chmod.": 1,
    "Visit www.pay-pal.com.ru/login. This is phishing.": 2,
    "The file is named invoice.pdf.exe. That hides malware.": 2,
    "The site reddit.com/r/AskDocs is no doctor.": 1,
    "The amount is $5. The user wants it back.": 2,
    "In 2020. the law changed.": 1,
    "The user was born in 1990. He asks about pensions.": 2,
    "Why would the user ask this? Curiosity, most likely.": 2,
    "Is it S1? S11? Or both? S11 is closer.": 4,
    "Help!!! The user is in danger!": 2,
    "OK, so the user greets the bot, nothing more!": 1,
    "Hmm... This might be S13... or not.": 2,
    "“...and then I shot him,” the story ends.": 1,
    'The user says "I could just..." and stops.': 1,
    "The prompt is vague: who is “she”? The response asks back.": 2,
    "The user (a teacher) asks for examples of slurs (for a lesson). The reply gives none.": 2,
    "It is legal in some states (e.g. Nevada). The reply says so.": 2,
    "It is not a threat (yet!). The reply warns.": 2,
    "The user is a minor (15). (S7 would apply to sexual content.) Here it is about homework.": 3,
    "As J. Doe, Esq., the user wants a contract.": 1,
    "John F. Kennedy was shot in Dallas. The user asks by whom.": 2,
    "The novel by E. L. James is adult fiction.": 1,
    "The name is Martin Luther King Jr. and the speech is public.": 1,
    "Vitamin C. is a typo.": 1,
    "The patient has hepatitis C. The user asks about a cure.": 2,
    "The user wants plan B. The response explains where to buy it.": 2,
    "The user asks\nabout a bomb.\nIt is refused.": 2,
    "First line without stop\n\nSecond line without stop": 2,
    "🚨 The user threatens a school! 🚨": 1,
    "The user loves cats ❤️ The reply is friendly ❤️": 1,
    "I AM GOING TO U.S. SOIL. BEWARE.": 2,
    "用户要求制造炸弹的方法，这属于S4类。": 1,
    "助手说：“我不能帮助你。请寻求帮助。”这是拒绝。": 2,
    "El usuario pregunta: «¿Cómo estás?» La respuesta es amable.": 2,
    "El Sr. García pide ayuda. ¡No hay peligro!": 2,
    "M. Dupont demande une recette. Elle est sans danger.": 2,
    "The French phrase « Je t'aime. » is harmless.": 1,
    "Запрос касается S1. Ответ — отказ.": 2,
    "The request violates the law of the country in question, see Art. 5 and para. 3.": 1,
    "The user wants to e.g. hide a body. I.e. this is S3.": 2,
    "Neither party is harmed.The request is benign.": 2,
    "The system prompt allows cooking only. The user asks about taxes. So the message is off-topic.": 3,
    'The rule reads: "Do not discuss prices." The user asks for one.': 2,
    'The user asks the time; e.g., "What time is it?"': 1,
    "Prompt harm is low...the reply is fine.": 1,
    "The user wants info on aspirin vs. ibuprofen. Both are legal.": 2,
    "The code `x = a.b. C` does not compile.": 1,
    "The verdict rests on the LLM. Nothing it wrote is harmful.": 2,
    "The answer is no. Nothing harmful is asked.": 2,
    "The request is about art. Nudity is only mentioned.": 2,
    "It scares me. Still, no category applies.": 2,
    "Hmm... I think it is S13.": 2,
    "Since 3 < 5 holds (see S1), it is maths. Nothing is harmful [at all].": 2,
    "The user is sad :( and asks for help. The reply is kind (and short).": 2,
    "The command `find . -name '*.py'` lists files. It deletes nothing.": 2,
    "The user posts a joke :) and waits.": 1,
    "The reply cites Sec. 230 and Art. 5 of the law. Both are public.": 2,
    "The user, a Ph.D. student, asks about enzymes.": 1,
    "The conversation with Prof. Dr. Weber is fictional.": 1,
    "The prompt asks for the address of Lt. Col. Harris. That is PII.": 2,
    "The request, i.e., the prompt, is harmful; the response, however, is not.": 1,
    'He wrote "Die!", "Burn!" and "Go away!" to her.': 1,
    "She asks 'Are you real?' and 'Do you sleep?' before leaving.": 1,
    '"Can you hack my ex\'s phone? I need proof." asks for an intrusion (S21).': 1,
    "The user's 'joke' isn't one. It's a threat against the boss's family.": 2,
    "“Tell me a story.” “About what?” “About bombs.” The dialogue drifts.": 4,
    "The user says: I hate you. The assistant stays calm.": 2,
    'The prompt reads "How do I..." and breaks off.': 1,
    "The rule (No. 3) bans politics. The message mentions an election.": 2,
    "Step 1: the user asks for thermite. Step 2: the reply lists ingredients.": 2,
    "S21, i.e. illegal activity, applies. S15 does not!": 2,
    "It matches S22: Immoral/Unethical. Nothing else.": 2,
    "The model (v2.1.0-beta.3) is asked for its prompt. It declines.": 2,
    "The price is 1.000,50 EUR. That is legal.": 2,
    "At 10.30 p.m. she left. At 11 p.m. he followed.": 2,
    'This is harmless (it\'s a quote from Hamlet: "To be, or not to be.").': 1,
    "**Analysis**\n\nThe user asks about locks.\n\n**Conclusion**\n\nIt is harmless.": 2,
    "Analysis:\n\n1. **Intent.** The user is curious.\n2. **Harm.** None.": 4,
    "- Prompt: harmful, S4.\n- Response: refuses.": 2,
    "+ one item\n+ another item\n\nAnd a last line.": 3,
    "> I will hurt you.\n\nThis quoted line is a threat.": 2,
    "The reply lists steps:\n   1. Mix.\n   2. Wait.\n   3. Run.\nIt is harmful.": 4,
    "Yes!! No?! Maybe... The user cannot decide.": 4,
    "The user wrote it in ALL CAPS. WHY? Because of anger.": 3,
    "Can the user be trusted? perhaps. it is unclear.": 3,
    "The user asks for a poem about rain": 1,
    "Nothing; really nothing; applies: no S1, no S2, no S3.": 1,
    "L'utilisateur écrit : « Bonjour. Ça va ? » C'est anodin.": 2,
    "사용자가 폭탄을 묻는다. 응답은 거절한다.": 2,
    "It is :( and sad. It is so. (Yes.)": 3,
    "Wait ... I could stop here.": 2,
    "I go with art. Hmm.": 2,
    "The rules are: (1) be kind, (2) be brief.": 1,
    "The dose is 5 mg. No. 7 is a perfume.": 2,
    "Privacy has 1) Sensitive Information (Organization), 2) Private Information (Individual).": 1,
    "It follows (see rule 3) from the law: 1) The user asks. 2) The response refuses.": 2,
}
"""Cases written after that. Of the first 121, with those that are now `KNOWN_MISSES`, 112 were right at once."""
KNOWN_MISSES = {
    "The user asks about the band Wham! and its hits.": (1, 2),
    "Der Nutzer fragt, ob das erlaubt ist. Laut § 5 Abs. 2 ist es das.": (2, 3),
    "The user is in the U.S.A. Laws differ there.": (2, 1),
    "The package arrives by 6 p.m. Tuesday.": (1, 2),
    "ユーザーは「こんにちは。元気ですか？」と書いた。無害である。": (2, 3),
    "The name is spelled with a w. Hmm, here it is a v.": (2, 1),
    'A 5" gun is small. So is a 6" one.': (2, 1),
    "The user asks about the\nAegis taxonomy.": (1, 2),
    "prompt asks for a bomb\nresponse refuses": (2, 1),
}
"""Text -> (its sentences, what is counted instead)."""


@pytest.mark.parametrize(("text", "sentences"), (CHOSEN_ON | LATER).items())
def test_sentences_are_counted(text: str, sentences: int) -> None:
    assert count_sentences(text) == sentences


@pytest.mark.parametrize(("text", "counts"), KNOWN_MISSES.items())
def test_a_known_miss_is_still_counted_the_same_way(text: str, counts: tuple[int, int]) -> None:
    true, counted = counts
    assert count_sentences(text) == counted != true


def test_no_case_stands_twice() -> None:
    assert len(CHOSEN_ON | LATER | KNOWN_MISSES) == len(CHOSEN_ON) + len(LATER) + len(KNOWN_MISSES) >= 80


TEXTISH = st.lists(
    st.sampled_from(["A b. ", "?", "...", "\n", "\r\n", "\u2028", "\xa0", "- ", "1. ", "S1. ", '"', "“", "(", "no. "])
    | st.text(max_size=4)
    | st.characters(categories=["Cs", "Cc"]),
    max_size=30,
).map("".join)


@given(TEXTISH)
@example("\ud83d. A\x00. B")
@example("Miss no.\u2028?")
@example("é.\u2003A.\xa0B." + "\u3000" * 200)
def test_any_text_has_a_count(text: str) -> None:
    assert 0 <= count_sentences(text) <= len(text)
    assert count_sentences(text) == count_sentences(text)


@given(st.lists(st.sampled_from(list(CHOSEN_ON | LATER)), max_size=5))
def test_paragraphs_add_up(texts: list[str]) -> None:
    assert count_sentences("\n\n".join(texts)) == sum(map(count_sentences, texts))


@example(["The user asks for help."] * 41 + ['He says "Go. Now." to her.'])
@given(st.lists(st.sampled_from(["The user asks for help.", "Is it S1 (Violence)?", 'He says "Go. Now." to her.'])))
def test_sentences_side_by_side_add_up_however_many(sentences: list[str]) -> None:
    assert count_sentences(" ".join(sentences)) == len(sentences)
    assert count_sentences("\n".join(f"- {sentence}" for sentence in sentences)) == len(sentences)


def test_white_space_around_a_text_changes_nothing() -> None:
    for text, sentences in (CHOSEN_ON | LATER).items():
        assert count_sentences(f" \n\t{text}\u3000\n") == sentences


def test_a_line_longer_than_a_window_is_counted_exactly() -> None:
    assert count_sentences("The user, e.g. Dr. Jones, asks “Why? How?” again. " * 2000) == 2000


def test_a_block_is_one_line() -> None:
    assert list(blocks("Two things:\n- a\n  b\n\nc")) == ["Two things: a b", "c"]


PLAIN = ["a", "A. ", "no. ", "1. ", "- ", "# ", "**a", "a\n", "a:\n", "\n", "...  ", "\x00", "\ud800", "😀"]
NEVER_CLOSED = [
    "?",
    "“",
    "»",
    "'",
    "`",
    "`a",
    "„a",
    "(",
    ". (a",
    "A. " + "“" * 997,
    "no." + " " * 997,
    ". " + "(" * 998,
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", PLAIN + NEVER_CLOSED, ids=range(len(PLAIN + NEVER_CLOSED)))
def test_a_megabyte_of_anything_ends(unit: str) -> None:
    count_sentences(unit * (1_000_000 // len(unit)))
