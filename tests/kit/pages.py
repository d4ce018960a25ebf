"""What a report's page holds, read as its script reads it."""

import base64
import gzip
import json
import re


def unpack(text):
    return json.loads(gzip.decompress(base64.b64decode(text)))


def index_of(page):
    return unpack(re.search(r'id="index">([^<]*)<', page)[1])
