"""The report: one HTML page of a study that needs neither a server nor a network.

`results` reads what a study left, the other modules each make one part of the page, `page` puts
them together.
"""
