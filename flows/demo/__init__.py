"""`fillblanks demo`: network.py is what it trains, train.py how, story.py the demo itself."""
