PAGE = "preflight.html"


def page_of(report):
    return ""
