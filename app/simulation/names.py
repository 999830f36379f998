"""Invented names: common given names and made-up surnames and streets, put together by chance."""

GIVEN_OLD = (
    "Anna", "Margareta", "Karin", "Elisabeth", "Birgitta", "Kerstin", "Ingrid", "Gunilla", "Barbro", "Siv", "Ulla",
    "Inger", "Maj-Britt", "Gun", "Solveig", "Sven", "Lennart", "Karl", "Bengt", "Arne", "Gösta", "Rune", "Stig",
    "Börje", "Olle", "Bo", "Kjell", "Åke", "Ragnar", "Sigvard", "Astrid", "Dagny", "Aino", "Fatima", "Maria", "Jozef",
)  # fmt: skip
GIVEN_STAFF = (
    "Amina", "Sara", "Johanna", "Emma", "Leila", "Maja", "Hanna", "Ali", "Ahmed", "Jonas", "Erik", "Linnea", "Nadia",
    "Zahra", "Elin", "Viktor", "Daniel", "Samira", "Petra", "Lotta", "Mirjam", "Yusuf", "Tove", "Ebba", "Osman",
    "Katarzyna", "Ioana", "Farid", "Helena", "Mikael", "Sofia", "Rebecka",
)  # fmt: skip
SURNAME_HEADS = (
    "Björk", "Lind", "Sten", "Gran", "Ek", "Alm", "Berg", "Dal", "Fors", "Hag", "Kvist", "Ljung", "Mark", "Norr",
    "Ros", "Sjö", "Strand", "Söder", "Tall", "Vik", "Ås", "Öster", "Hult", "Rönn",
)  # fmt: skip
SURNAME_TAILS = ("dalius", "löv", "stråle", "hjelmar", "nertz", "ståhle", "ander", "mossing", "vallin", "gård")
STREETS = (
    "Lärksångsvägen", "Mossgränd", "Kvarnbäcksgatan", "Tegelslagarvägen", "Åkerbärsstigen", "Fyrmästargatan",
    "Snickarglädjevägen", "Blåklintsgatan", "Oxelstigen", "Hamnskrivargatan", "Väderkvarnsgränd", "Ripstigen",
    "Notvägen", "Smultronbacken", "Klockarängen", "Bruksgatan",
)  # fmt: skip
DISTRICTS = (
    "Norra Ängen", "Södra Ängen", "Hamnen", "Kvarnbacken", "Björkhöjden", "Tallåsen", "Sjöstaden", "Gamla torget",
    "Västra Mossen", "Östra Mossen", "Klippan", "Ljungvallen",
)  # fmt: skip
PROVIDER_HEADS = (
    "Björkens", "Solrosens", "Tryggve", "Hemfrid", "Ljungens", "Vardags", "Kastanjens", "Familje", "Stadens", "Pärlans",
    "Silver", "Lyktans", "Vänliga", "Ängens", "Havets",
)  # fmt: skip
PROVIDER_TAILS = ("Hemtjänst", "Omsorg", "Hemomsorg", "Vardagsstöd", "Äldreomsorg")
