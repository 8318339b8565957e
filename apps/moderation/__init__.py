"""The one gate that texts pass: rules, a classifier, and what each surface does about what they find.

It knows texts, and neither conversations nor the API's shapes; those ask it before anything is stored or sent.
"""
