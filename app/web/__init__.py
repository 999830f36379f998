"""DOOR office: pages in a browser. One file is one screen, with a template and a script of the same name.

A page is the same for everybody and holds no data: its script asks the API, as the person whose cookie it is.

    invitation  /invite    an invited person makes her passkey
    sign_in     /sign-in   sign in with a passkey
    me          /me        who am I, where am I signed in, sign out
    tag         /t         what a visitor's phone opens from a sticker
"""
